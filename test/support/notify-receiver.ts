/** Stands where systemd would: a bound datagram socket whose messages are read when a test looks. Node has none of this kind. */
import { O_CLOEXEC, O_NONBLOCK, sys } from '../../agent/platform/native.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;

export class NotifyReceiver {
  readonly #fd: number;
  readonly #messages: string[] = [];

  /** `path`: of a file, or with @ in front the name of an abstract socket of this network namespace. */
  constructor(path: string) {
    const name = Buffer.from(path.startsWith('@') ? `\0${path.slice(1)}` : `${path}\0`);
    const address = new Uint8Array(2 + name.length);
    address[0] = AF_UNIX;
    address.set(name, 2);
    this.#fd = sys.socket(AF_UNIX, SOCK_DGRAM | O_NONBLOCK | O_CLOEXEC, 0);
    const bound = sys.bind(this.#fd, address, address.length);
    if (bound < 0) throw new Error(`cannot bind ${path}: ${bound}`);
  }

  /** All that has come, oldest first. */
  get messages(): readonly string[] {
    const bytes = new Uint8Array(4096);
    for (let got = this.#read(bytes); got > 0; got = this.#read(bytes)) {
      this.#messages.push(Buffer.from(bytes.subarray(0, got)).toString());
    }
    return this.#messages;
  }

  #read(into: Uint8Array): number {
    return sys.read(this.#fd, into, into.length);
  }

  close(): void {
    sys.close(this.#fd);
  }
}
