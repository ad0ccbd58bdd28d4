/** What iputils' `ping -D -n` prints, line by line. */

export interface PingReply {
  readonly sequence: number;
  /** When the reply came, ms since 1970. */
  readonly wallMs: number;
  readonly rttMs: number;
  readonly duplicate: boolean;
}

export interface PingSummary {
  readonly sent: number;
  readonly received: number;
  readonly duplicates: number;
}

const REPLY = /^\[(?<at>\d+\.\d+)\] \d+ bytes from .*icmp_seq=(?<sequence>\d+) .*time=(?<time>[\d.]+) ms(?<rest>.*)$/u;
const SUMMARY =
  /^(?<sent>\d+) packets transmitted, (?<received>\d+) received,(?: \+(?<duplicates>\d+) duplicates,)?.* packet loss/u;

export function parsePingReply(line: string): PingReply | null {
  const fields = REPLY.exec(line)?.groups;
  if (fields === undefined) return null;
  return {
    sequence: Number(fields['sequence']),
    wallMs: Number(fields['at']) * 1000,
    rttMs: Number(fields['time']),
    duplicate: fields['rest']?.includes('DUP!') ?? false,
  };
}

export function parsePingSummary(line: string): PingSummary | null {
  const fields = SUMMARY.exec(line)?.groups;
  if (fields === undefined) return null;
  const number = (name: string): number => Number(fields[name] ?? 0);
  return { sent: number('sent'), received: number('received'), duplicates: number('duplicates') };
}
