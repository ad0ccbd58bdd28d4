/** A second descriptor of an open file or socket. */
import koffi from 'koffi';

const fcntl = koffi.load(null).func('int fcntl(int fd, int command, int argument)');
const F_DUPFD_CLOEXEC = 1030;

/** The new descriptor, or a negative errno. */
export function duplicate(fd: number): number {
  const copy = Number(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return copy < 0 ? -koffi.errno() : copy;
}
