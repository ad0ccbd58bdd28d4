/**
 * The datagram socket of a service manager (sd_notify(3)). Node has no datagrams over Unix sockets, so the C library sends
 * them. It never blocks and never fails its caller: a manager that does not listen is not our trouble.
 */
import { ERRNO, sys } from './native.ts';

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000;
/** sun_path of struct sockaddr_un. */
const PATH_BYTES_MAX = 108;

export class NotifySocket {
  readonly #fd: number;
  readonly #address: Uint8Array;

  private constructor(fd: number, address: Uint8Array) {
    this.#fd = fd;
    this.#address = address;
  }

  /** `path`: of a file, or with @ in front the name of an abstract socket. Null for what is neither. */
  static open(path: string): NotifySocket | null {
    const address = addressOfPath(path);
    const fd = address === null ? -1 : sys.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
    return address === null || fd < 0 ? null : new NotifySocket(fd, address);
  }

  /** False when the manager has not read what it has: its queue holds some ten messages. Nobody there is no reason to try again. */
  send(text: string): boolean {
    const bytes = Buffer.from(text);
    const { length } = this.#address;
    return sys.sendto(this.#fd, bytes, bytes.length, MSG_DONTWAIT_NOSIGNAL, this.#address, length) !== -ERRNO.EAGAIN;
  }

  close(): void {
    sys.close(this.#fd);
  }
}

/** struct sockaddr_un. An abstract name begins with a zero byte and ends with the structure, not with a zero. */
function addressOfPath(path: string): Uint8Array | null {
  const isAbstract = path.startsWith('@');
  if (!isAbstract && !path.startsWith('/')) return null;
  const name = Buffer.from(isAbstract ? `\0${path.slice(1)}` : `${path}\0`);
  if (name.length > PATH_BYTES_MAX) return null;
  const address = new Uint8Array(2 + name.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  return address;
}
