/** What a frame is, in a line. */
import { corosyncText } from './corosync.ts';
import { frameView, type FrameView, type MessageView, type PacketView } from './frame-view.ts';

/** One line about the frame: nothing in it but what `frameView` has made fit for a terminal. */
export const frameText = (frame: Uint8Array, withContent = false): string => viewText(frameView(frame, withContent));

export function viewText({ packet, message }: FrameView): string {
  if (message) return messageText(message);
  return packet ? packetText(packet) : 'neither an IP packet nor a message of a program';
}

function messageText({ kind, id, channel, payloadBytes, outcome, content }: MessageView): string {
  if (kind === 'report') return `report on message ${id}: ${outcome ?? ''}`;
  const on = channel === '' ? '' : ` on channel ${channel}`;
  return `message ${id} of a program${on} ${payloadBytes} bytes${contentText(content)}`;
}

const contentText = (content: string | undefined): string => (content === undefined ? '' : ` ${content}`);

/** Millions of times for a large volume: pieces are put behind each other, not into lists. */
function packetText(packet: PacketView): string {
  const { service, knet, totem, fragment } = packet;
  let text = `${packet.protocol} ${end(packet, 'source')} > ${end(packet, 'destination')} ${details(packet)}`;
  if (service !== undefined) text += ` (${service})`;
  const cluster = knet || totem ? corosyncText(packet) : '';
  if (cluster !== '') text += ` ${cluster}`;
  if (fragment !== undefined) text += ` ${fragment} fragment`;
  if (packet.superPacket === true) text += ' super-packet';
  return text + contentText(packet.content);
}

function end(packet: PacketView, which: 'source' | 'destination'): string {
  const port = which === 'source' ? packet.sourcePort : packet.destinationPort;
  const address = packet[which];
  if (port === undefined) return address;
  return packet.version === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

function details({ tcp, icmp, payloadBytes }: PacketView): string {
  if (tcp) {
    const { flags, sequence, acknowledgement, window } = tcp;
    return `[${flags.join(' ')}] ${payloadBytes} bytes sequence ${sequence} acknowledges ${acknowledgement} window ${window}`;
  }
  if (!icmp) return `${payloadBytes} bytes`;
  const echo = icmp.id === undefined ? '' : ` id ${icmp.id} sequence ${icmp.sequence}`;
  return `${icmp.name}${echo}`;
}
