/**
 * The C library, called through koffi: the few system calls that Node does not offer. Everything here blocks, so
 * only workers (and start-up code) call it. Errors come back as a negative errno, never as an exception.
 *
 * Memory handed to the kernel by address (`addressOf`) must be shared memory: the garbage collector may move an
 * ordinary buffer's wrapper but never frees a SharedArrayBuffer that somebody still holds.
 */
import koffi from 'koffi';

const libc = koffi.load(null);

const orErrno = (result: number): number => (result < 0 ? -koffi.errno() : result);

/** For what is called once. */
const call = (signature: string): ((...args: unknown[]) => number) => {
  const raw = libc.func(signature);
  return (...args) => orErrno(Number(raw(...args)));
};

/** For what is called for each packet: without collecting and spreading its arguments. */
const call3 = (signature: string): ((a: unknown, b: unknown, c: unknown) => number) => {
  const raw = libc.func(signature) as (a: unknown, b: unknown, c: unknown) => number;
  return (a, b, c) => orErrno(raw(a, b, c));
};

const call4 = (signature: string): ((a: unknown, b: unknown, c: unknown, d: unknown) => number) => {
  const raw = libc.func(signature) as (a: unknown, b: unknown, c: unknown, d: unknown) => number;
  return (a, b, c, d) => orErrno(raw(a, b, c, d));
};

/** errno values that callers react to; everything else is reported by name through {@link errnoName}. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EAGAIN: 11,
  EACCES: 13,
  EBUSY: 16,
  ENODEV: 19,
  EINVAL: 22,
  ENOSPC: 28,
  EMSGSIZE: 90,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENOBUFS: 105,
  EHOSTUNREACH: 113,
} as const;

/** The symbolic name of an errno (given positive or negative), `E<number>` when unknown. */
export function errnoName(errno: number): string {
  const wanted = Math.abs(errno);
  const table: Record<string, number> = koffi.os.errno;
  return Object.keys(table).find((name) => table[name] === wanted) ?? `E${wanted}`;
}

/** Address of a typed array over shared memory, for structures that hold pointers. */
export const addressOf = (bytes: Uint8Array): number => Number(koffi.address(bytes));

export const POLLIN = 1;
export const POLLOUT = 4;
/** POLLERR, POLLHUP, POLLNVAL: always reported. */
export const POLL_GONE: number = 8 | 16 | 32;

/** open(2) flags of Linux on every architecture Node runs on, save O_DIRECT, which differs on ARM. */
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const O_DIRECT: number = process.arch === 'arm64' || process.arch === 'arm' ? 0o200000 : 0o40000;

/** The system calls, each answering its result or a negative errno. */
export interface Sys {
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  read(fd: number, into: Uint8Array, length: number): number;
  write(fd: number, from: Uint8Array, length: number): number;
  pread(fd: number, into: Uint8Array, length: number, offset: number): number;
  pwrite(fd: number, from: Uint8Array, length: number, offset: number): number;
  /** ioctl with a pointer argument (a structure, or a number boxed in one). */
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  /** ioctl whose argument is the number itself (TUNSETPERSIST, TUNSETOFFLOAD). */
  ioctlNumber(fd: number, request: number, value: number): number;
  /** `descriptors`: struct pollfd, 8 bytes each. */
  poll(descriptors: Uint8Array, count: number, timeoutMs: number): number;
  /** poll with a struct timespec (two 64-bit words), for sleeps below a millisecond. */
  ppoll(descriptors: Uint8Array, count: number, timeout: BigInt64Array, mask: null): number;
  eventfd(value: number, flags: number): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number;
  sendmsg(fd: number, message: Uint8Array, flags: number): number;
  sendto(
    fd: number,
    from: Uint8Array,
    length: number,
    flags: number,
    address: Uint8Array,
    addressLength: number,
  ): number;
  recvmsg(fd: number, message: Uint8Array, flags: number): number;
  fcntl(fd: number, command: number, argument: Uint8Array): number;
  prctl(option: number, a: number, b: number, c: number, d: number): number;
  /** On Linux `which` 0 (PRIO_PROCESS) with `who` 0 means the calling thread. */
  setpriority(which: number, who: number, priority: number): number;
  /** `parameter`: struct sched_param, one int. Process id 0 means the calling thread. */
  sched_setscheduler(process: number, policy: number, parameter: Uint8Array): number;
}

export const sys: Sys = {
  open: call('int open(const char* path, int flags, int mode)'),
  close: call('int close(int fd)'),
  read: call3('long read(int fd, uint8_t* into, unsigned long length)'),
  write: call3('long write(int fd, const uint8_t* from, unsigned long length)'),
  pread: call4('long pread64(int fd, uint8_t* into, unsigned long length, int64_t offset)'),
  pwrite: call4('long pwrite64(int fd, const uint8_t* from, unsigned long length, int64_t offset)'),
  ioctl: call('int ioctl(int fd, unsigned long request, uint8_t* argument)'),
  ioctlNumber: call('int ioctl(int fd, unsigned long request, unsigned long argument)'),
  poll: call3('int poll(uint8_t* descriptors, unsigned long count, int timeout)'),
  ppoll: call4('int ppoll(uint8_t* descriptors, unsigned long count, int64_t* timeout, void* mask)'),
  eventfd: call('int eventfd(unsigned int value, int flags)'),
  socket: call('int socket(int domain, int type, int protocol)'),
  bind: call('int bind(int fd, const uint8_t* address, unsigned int length)'),
  connect: call('int connect(int fd, const uint8_t* address, unsigned int length)'),
  setsockopt: call('int setsockopt(int fd, int level, int name, const uint8_t* value, unsigned int length)'),
  sendmsg: call3('long sendmsg(int fd, const uint8_t* message, int flags)'),
  sendto: call(
    'long sendto(int fd, const uint8_t* from, unsigned long length, int flags, const uint8_t* address, unsigned int addressLength)',
  ),
  recvmsg: call3('long recvmsg(int fd, uint8_t* message, int flags)'),
  fcntl: call('int fcntl(int fd, int command, uint8_t* argument)'),
  prctl: call('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)'),
  setpriority: call('int setpriority(int which, unsigned int who, int priority)'),
  sched_setscheduler: call('int sched_setscheduler(int process, int policy, const uint8_t* parameter)'),
};

const SCHED_RR = 2;
/** Two of the lowest: the engine's helpers come behind our threads, and both before every ordinary program. */
const PRIORITY = { ours: 2, helpers: 1 } as const;

const priorityOf = (priority: number): Uint8Array => new Uint8Array(new Int32Array([priority]).buffer);

/**
 * Memory that was given back is used again, not handed to the kernel: each page that is new costs a fault, 128 KiB of them more
 * than all else that is done with as many bytes. For processes through which data flow. Other C libraries have no such switch.
 */
export function keepFreedMemory(): void {
  const [M_TRIM_THRESHOLD, M_MMAP_THRESHOLD] = [-1, -3];
  try {
    const mallopt = libc.func('int mallopt(int option, int value)') as (option: number, value: number) => number;
    mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024 * 1024);
  } catch {
    // Slower, and as right.
  }
}

/**
 * Names the calling thread (`top -H` shows it), lets its timed sleeps end within microseconds instead of the kernel's
 * default slack of 50 µs, and asks for the scheduler's round robin class: a heartbeat must not wait
 * behind a compiler, and niceness counts for nothing against other sessions (autogroup). Corosync does the same. Where
 * that is refused, niceness; where that is refused too the thread works, only later. `name`: at most 15 bytes.
 */
export function tuneThread(name: string, nice: number): void {
  const PR_SET_NAME = 15;
  const PR_SET_TIMERSLACK = 29;
  const text = alignedText(name);
  sys.prctl(PR_SET_NAME, addressOf(text), 0, 0, 0);
  sys.prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  if (sys.sched_setscheduler(0, SCHED_RR, priorityOf(PRIORITY.ours)) < 0) sys.setpriority(0, 0, nice);
}

/**
 * Asks for the same class for a thread that has a name already. `isInherited`: also for the threads and programs that it
 * begins from now on. Where that is refused all stays as it is.
 */
export function raiseThread(isInherited: boolean): void {
  const SCHED_RESET_ON_FORK = 0x4000_0000;
  const policy = isInherited ? SCHED_RR : SCHED_RR | SCHED_RESET_ON_FORK;
  sys.sched_setscheduler(0, policy, priorityOf(PRIORITY.ours));
}

/** The same class, behind our own threads, for a thread of this process that another one waits for. */
export function raiseHelper(thread: number): void {
  sys.sched_setscheduler(thread, SCHED_RR, priorityOf(PRIORITY.helpers));
}

/**
 * Names the calling thread and lets ordinary programs go first. Niceness, not the idle class: on a busy host that is never, and
 * who waits for what the thread does would wait for ever.
 */
export function tuneMeekThread(name: string): void {
  tuneOrdinaryThread(name);
  sys.setpriority(0, 0, 10);
}

/** Names the calling thread and gives it the class of ordinary programs, whatever the class of the one that began it. */
export function tuneOrdinaryThread(name: string): void {
  const PR_SET_NAME = 15;
  const SCHED_OTHER = 0;
  sys.prctl(PR_SET_NAME, addressOf(alignedText(name)), 0, 0, 0);
  sys.sched_setscheduler(0, SCHED_OTHER, priorityOf(0));
}

/**
 * Lets the calling thread's disk requests come last (best effort, lowest level), where the disk's scheduler asks for that:
 * and not only when nobody else has any, which on a busy disk would be never. The C library has no name for the call.
 */
export function setIoPriority(): void {
  const numbers: Readonly<Record<string, number>> = { x64: 251, arm64: 30, riscv64: 30 };
  const call = numbers[process.arch];
  const IOPRIO_WHO_PROCESS = 1;
  const BEST_EFFORT_LAST = (2 << 13) | 7;
  if (call === undefined) return;
  const syscall = libc.func('long syscall(long number, long which, long who, long priority)') as (
    ...numbers: number[]
  ) => number;
  syscall(call, IOPRIO_WHO_PROCESS, 0, BEST_EFFORT_LAST);
}

function alignedText(text: string): Uint8Array {
  const bytes = new Uint8Array(new SharedArrayBuffer(16));
  bytes.set(new TextEncoder().encode(text).subarray(0, 15));
  return bytes;
}
