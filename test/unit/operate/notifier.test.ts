/** What systemd is told, over real datagram sockets. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Notifier, takeNotifyEnvironment } from '../../../agent/operate/notifier.ts';
import { NotifySocket } from '../../../agent/platform/notify-socket.ts';
import { NotifyReceiver } from '../../support/notify-receiver.ts';
import { eventually, SOON_MS } from '../../support/cluster.ts';

let name: string;
let receiver: NotifyReceiver;
let isMoving = true;
let notifier: Notifier;
beforeEach(() => {
  name = `@stillbeat-test-${randomBytes(6).toString('hex')}`;
  receiver = new NotifyReceiver(name);
  isMoving = true;
  notifier = new Notifier(NotifySocket.open(name), 20, () => isMoving);
});
afterEach(() => {
  notifier.close();
  receiver.close();
});

test('an abstract socket hears READY, RELOADING with its moment, STOPPING', () => {
  notifier.ready();
  notifier.reloading();
  notifier.stopping();
  const words = receiver.messages.filter((message) => !message.startsWith('WATCHDOG'));
  expect(words).toEqual(['READY=1', expect.stringMatching(/^RELOADING=1\nMONOTONIC_USEC=\d+$/), 'STOPPING=1']);
});

test('STATUS is one line of all peers, told when it changes', () => {
  notifier.peers(['b', 'c']);
  notifier.path('b', 'network');
  notifier.path('b', 'network');
  notifier.path('zz', 'network');
  notifier.peers(['b']);
  const words = receiver.messages.filter((message) => message.startsWith('STATUS'));
  expect(words).toEqual(['STATUS=b starting, c starting', 'STATUS=b network, c starting', 'STATUS=b network']);
});

test('WATCHDOG comes while the threads move, not while they do not, and again when they do', async () => {
  const count = () => receiver.messages.filter((message) => message === 'WATCHDOG=1').length;
  await eventually('it comes', SOON_MS, () => count() > 2);
  isMoving = false;
  const before = count();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(count()).toBe(before);
  isMoving = true;
  await eventually('it comes again', SOON_MS, () => count() > before);
});

test('the environment is taken, so that no child speaks in our name; a watchdog of another process is not ours', () => {
  const environment: NodeJS.ProcessEnv = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' };
  expect(takeNotifyEnvironment({ ...environment }, 7)).toEqual({ socket: '/run/x', watchdogMs: 30_000 });
  expect(takeNotifyEnvironment(environment, 8)).toEqual({ socket: '/run/x', watchdogMs: null });
  expect(environment).toEqual({});
  expect(takeNotifyEnvironment({}, 7)).toEqual({ socket: null, watchdogMs: null });
  for (const usec of ['0', '-5', 'x', '']) {
    expect(takeNotifyEnvironment({ NOTIFY_SOCKET: '@x', WATCHDOG_USEC: usec }, 7).watchdogMs).toBeNull();
  }
});

test('a manager that is busy loses nothing and gets it in order', async () => {
  const wanted = Array.from({ length: 25 }, (_, i) => `STATUS=b ${i}`);
  notifier.peers(['b']);
  for (const word of wanted) notifier.path('b', word.split(' ')[1] ?? '');
  notifier.ready();
  await eventually('READY', SOON_MS, () => receiver.messages.includes('READY=1'));
  const words = receiver.messages.filter((message) => !message.startsWith('WATCHDOG'));
  expect(words).toEqual(['STATUS=b starting', ...wanted, 'READY=1']);
});

test('a socket that is not there, or no path at all, hurts nobody', () => {
  const nobody = new Notifier(NotifySocket.open('/nowhere/notify'), null, () => true);
  nobody.ready();
  nobody.close();
  expect(NotifySocket.open('relative')).toBeNull();
  expect(NotifySocket.open(`/${'x'.repeat(200)}`)).toBeNull();
});
