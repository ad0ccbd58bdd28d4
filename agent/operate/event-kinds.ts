/**
 * Every event that the agent tells, with its level. README's table says what the figures are; a test holds the two against
 * each other. `reason` is what an event means whose figures do not say it.
 */
import type { LogLevel } from '../platform/log.ts';

interface Kind {
  readonly level: LogLevel;
  readonly reason?: string;
}

export const EVENT_KINDS = {
  // The program.
  running: { level: 'info' },
  restarting: { level: 'info' },
  'stop-waits': { level: 'warn', reason: 'a thread hangs in its storage: the process is gone when that answers' },
  stopped: { level: 'info' },
  fatal: { level: 'error' },
  unauthenticated: {
    level: 'warn',
    reason: 'RUNNING WITHOUT A KEY: anybody who can write the volume or send to the port is believed',
  },
  'no-real-time': {
    level: 'warn',
    reason: 'threads run at ordinary priority, late under load: give the agent CAP_SYS_NICE',
  },
  'no-direct': { level: 'warn', reason: 'the volume refuses O_DIRECT: other hosts may read old blocks' },
  'thread-stalled': { level: 'error', reason: 'a thread stands still' },
  'thread-moves': { level: 'info', reason: 'the thread moves again' },
  'thread-died': { level: 'error' },
  'stood-still': { level: 'warn', reason: 'the agent was stopped, or got no processor time' },
  // At any level of the log: whoever reads it must know that lines are missing.
  'log-lost': { level: 'error', reason: 'the log could not be written' },
  // Settings and keys.
  settings: { level: 'info', reason: 'new settings hold' },
  'settings-refused': { level: 'error' },
  'settings-late': {
    level: 'warn',
    reason: 'a thread takes the settings over later: it hangs in its storage',
  },
  keys: { level: 'info', reason: 'the key file has changed' },
  override: { level: 'info', reason: 'an operator’s word' },
  'override-lost': { level: 'error' },
  // The ways to a peer.
  path: { level: 'info' },
  diagnosis: { level: 'info' },
  incarnation: { level: 'info' },
  'storage-silent': { level: 'warn' },
  'storage-heard': { level: 'info', reason: 'the peer is read from the storage again' },
  bypass: { level: 'info' },
  'bypass-error': { level: 'error', reason: 'the kernel refused a route; it is tried again' },
  // Peers that do not fit.
  version: { level: 'warn' },
  'unknown-key': { level: 'warn' },
  'known-key': { level: 'info', reason: 'this node’s key file has the peer’s key now' },
  'peer-unaware': { level: 'warn', reason: 'the peer runs without this node among its peers: add it there' },
  'peer-aware': { level: 'info', reason: 'the peer has this node among its peers now' },
  'address-differs': { level: 'warn', reason: 'the peer has not the address that the settings give it' },
  'address-agrees': { level: 'info', reason: 'the peer has the address that the settings give it' },
  // This node's storage.
  'storage-error': { level: 'error' },
  'storage-good': { level: 'info', reason: 'writes succeed again' },
  'read-error': { level: 'error' },
  'read-good': { level: 'info', reason: 'reads of the volume succeed again' },
  // The copy of the send volume.
  'copy-waits': { level: 'warn', reason: 'the receive volume has nothing yet: the agent waits for the first copy' },
  'copy-late': { level: 'warn' },
  'copy-caught-up': { level: 'info' },
  'copy-failed': { level: 'error' },
  'copy-good': { level: 'info', reason: 'copies succeed again' },
  'copy-ran': { level: 'info', reason: 'an operator’s word' },
  'copy-link': { level: 'info' },
  'copy-ring': { level: 'warn' },
  // The gateway.
  gateway: { level: 'info' },
  'gateway-failed': { level: 'error' },
  // Other programs.
  'hook-failed': { level: 'warn' },
  'metrics-not-moved': { level: 'warn' },
  'messages-not-moved': { level: 'error' },
  'program-cut-off': { level: 'warn' },
  corosync: { level: 'warn' },
  page: { level: 'info', reason: 'the page is served' },
  'page-off': { level: 'warn' },
  'events-not-kept': {
    level: 'warn',
    reason: 'what happens is kept in memory alone, and a report will lack it: make room there, or change events.file',
  },
  'events-kept': { level: 'info', reason: 'events can be written to the disk' },
} as const satisfies Readonly<Record<string, Kind>>;

export type EventKind = keyof typeof EVENT_KINDS;

export const kindOf = (kind: EventKind): Kind => EVENT_KINDS[kind];
