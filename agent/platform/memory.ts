/**
 * Page-aligned shared memory: O_DIRECT refuses anything else, and every thread of the agent can use it. It is a
 * shared WebAssembly memory, the one thing in Node that is always page-aligned, shared and never moves.
 */
/** Node has it; TypeScript declares it only for browsers. */
declare const WebAssembly: {
  Memory: new (limits: { initial: number; maximum: number; shared: true }) => { buffer: SharedArrayBuffer };
};

const WASM_PAGE_BYTES = 65_536;

/** At least `bytes` of zeroed, page-aligned shared memory (rounded up to 64 KiB). */
export function alignedMemory(bytes: number): SharedArrayBuffer {
  const pages = Math.ceil(bytes / WASM_PAGE_BYTES);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer;
}
