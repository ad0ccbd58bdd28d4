/**
 * Watches the carrier of one interface: the kernel's own announcements (rtnetlink(7), group RTMGRP_LINK), so that a
 * pulled cable is known within a millisecond.
 */
import { textBytes } from '../base/bytes.ts';
import { sys } from './native.ts';

const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o4000 | 0o2000000;
const RTMGRP_LINK = 1;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const IFF_UP = 1;
const IFF_LOWER_UP = 0x10000;
const IFF_RUNNING = 0x40;
const SIOCGIFFLAGS = 0x8913;
const SIOCGIFINDEX = 0x8933;

export class LinkWatch {
  readonly fd: number;
  readonly #index: number;
  readonly #buffer = new Uint8Array(65_536);
  #wasLost = false;
  up: boolean;

  /** `name`: the interface. One that does not exist counts as down until it is announced under its index. */
  constructor(name: string) {
    this.fd = sys.socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, 0);
    const address = new Uint8Array(12);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_NETLINK, true);
    view.setUint32(8, RTMGRP_LINK, true);
    sys.bind(this.fd, address, 12);
    const query = sys.socket(2, 2, 0);
    const request = new Uint8Array(40);
    const requestView = new DataView(request.buffer);
    request.set(textBytes(name, 16));
    this.#index = sys.ioctl(query, SIOCGIFINDEX, request) === 0 ? requestView.getInt32(16, true) : -1;
    requestView.setInt32(16, 0, true);
    const got = sys.ioctl(query, SIOCGIFFLAGS, request);
    const flags = requestView.getUint16(16, true);
    this.up = got === 0 && (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0;
    sys.close(query);
  }

  /** Reads what the kernel has announced; true when the carrier changed, also when it is as before meanwhile. */
  poll(): boolean {
    const before = this.up;
    this.#wasLost = false;
    for (let rounds = 0; rounds < 64; rounds++) {
      const got = sys.read(this.fd, this.#buffer, this.#buffer.length);
      if (got <= 0) break;
      this.#take(got);
    }
    return this.up !== before || this.#wasLost;
  }

  #take(length: number): void {
    const view = new DataView(this.#buffer.buffer);
    let offset = 0;
    while (offset + 32 <= length) {
      const size = view.getUint32(offset, true);
      if (size < 16 || offset + size > length) return;
      const type = view.getUint16(offset + 4, true);
      const isOurs = view.getInt32(offset + 20, true) === this.#index;
      const flags = view.getUint32(offset + 24, true);
      if (isOurs && type === RTM_NEWLINK) this.up = (flags & IFF_UP) !== 0 && (flags & IFF_LOWER_UP) !== 0;
      if (isOurs && type === RTM_DELLINK) this.up = false;
      if (isOurs && !this.up) this.#wasLost = true;
      offset += (size + 3) & ~3;
    }
  }

  close(): void {
    sys.close(this.fd);
  }
}
