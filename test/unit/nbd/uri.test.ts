import { expect, test } from 'vitest';
import { isNbdUri, parseNbdUri } from '../../../agent/nbd/uri.ts';

test.each([
  ['nbd://127.0.0.1:10810/data', { endpoint: { host: '127.0.0.1', port: 10_810 }, name: 'data', tls: null }],
  ['nbd://[::1]/erp%2Fdata', { endpoint: { host: '::1', port: 10_809 }, name: 'erp/data', tls: null }],
  ['nbd+unix:///data?socket=/run/a+b%20c', { endpoint: { path: '/run/a+b c' }, name: 'data', tls: null }],
  ['nbd+unix:///?socket=x', { endpoint: { path: 'x' }, name: '', tls: null }],
  [
    'nbds+unix://al%20ice@/data?socket=/s&tls-psk-file=/k',
    { endpoint: { path: '/s' }, name: 'data', tls: { identity: 'al ice', keyFile: '/k' } },
  ],
  [
    'nbds://alice@host:1/data?tls-psk-file=/k',
    { endpoint: { host: 'host', port: 1 }, name: 'data', tls: { identity: 'alice', keyFile: '/k' } },
  ],
])('%s', (text, meant) => {
  expect(isNbdUri(text)).toBe(true);
  expect(parseNbdUri(text)).toEqual({ text, ...meant });
});

test.each([
  ['nbd:/data', /is no address of an export: write nbd:/],
  ['nbd://', /names no host and port/],
  ['nbd://host:0/data', /names no host and port/],
  ['nbd://host:65536/data', /names no host and port/],
  ['nbd+unix:///data', /names no socket/],
  ['nbd+unix://host/data?socket=/s', /names no socket/],
  ['nbd+vsock://1/data', /is no address of an export/],
  ['nbd://host/%zz', /has a "%" that is no escape/],
  ['nbds://host/data', /lacks whose key: write nbds:/],
  ['nbds://alice@host/data', /lacks whose key/],
])('%s is refused', (text, line) => {
  expect(isNbdUri(text)).toBe(true);
  expect(() => parseNbdUri(text)).toThrow(line);
});

test.each(['/dev/vg/data', 'nbd', 'nbd.img', './nbd:1'])('%s is a path', (text) => {
  expect(isNbdUri(text)).toBe(false);
});
