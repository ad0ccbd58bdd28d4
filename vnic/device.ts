/**
 * The virtual network interface, as the agent sees it: whole frames in, whole frames out, nothing about where they go.
 *
 * A frame is a virtio-net header (10 bytes, struct virtio_net_hdr, little-endian) followed by one IPv4 or IPv6 packet,
 * which may be a super-packet of up to 65,535 bytes that the kernel expects to be segmented later. The header travels
 * with the packet unchanged: the receiving kernel finishes checksums and segmentation.
 *
 * `read` and `write` never block. `descriptor` is what a caller polls for input; -1 where there is none (in memory).
 */
export const VNET_HEADER_BYTES = 10;
export const PACKET_BYTES_MAX = 65_535;
export const FRAME_BYTES_MAX: number = VNET_HEADER_BYTES + PACKET_BYTES_MAX;

export interface VnicDevice {
  /** Interface name as the kernel knows it. */
  readonly name: string;
  /** File descriptor to poll for POLLIN, or -1. */
  readonly descriptor: number;
  /**
   * Reads one frame into `into` (at least FRAME_BYTES_MAX bytes).
   * Returns its length, 0 when nothing is there, or a negative errno (the device is gone).
   */
  read(into: Uint8Array): number;
  /**
   * Hands one frame to the kernel. Returns true when it was taken; false when the kernel refused it (malformed frame,
   * interface down): the frame is lost, like on any interface.
   */
  write(frame: Uint8Array): boolean;
  /** Idempotent. The interface itself stays: it is persistent. */
  close(): void;
}
