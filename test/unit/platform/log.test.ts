import { describe, expect, test } from 'vitest';
import { AgentError } from '../../../agent/base/errors.ts';
import { logLevel, valueText } from '../../../agent/platform/log.ts';

describe('STILLBEAT_LOG', () => {
  test.each(['error', 'warn', 'info', 'debug'])('may be %s', (level) => expect(logLevel(level)).toBe(level));

  test.each([undefined, ''])('%j is info', (level) => expect(logLevel(level)).toBe('info'));

  test.each(['loud', 'INFO', 'silly', ' info'])('%j is refused in one line with what it may be', (level) => {
    const caught = (() => {
      try {
        return logLevel(level);
      } catch (error) {
        return error as AgentError;
      }
    })();
    expect(caught).toBeInstanceOf(AgentError);
    expect(caught).toMatchObject({
      reason: 'usage',
      message: `STILLBEAT_LOG is ${JSON.stringify(level)}, which is no level: use one of error, warn, info, debug`,
    });
  });
});

describe('a figure on a terminal', () => {
  test.each([
    ['network', 'network'],
    ['/dev/mapper/heartbeat', '/dev/mapper/heartbeat'],
    [1.5, '1.5'],
    [true, 'true'],
    ['', '""'],
    ['3 probes lost', '"3 probes lost"'],
    ['a=b', '"a=b"'],
    ['says "no"', '"says \\"no\\""'],
    ['two\nlines', '"two\\nlines"'],
    ['\u001b[2J', '"\\u001b[2J"'],
    ['\u009b2J', '"\\u009b2J"'],
    [undefined, 'null'],
  ])('%j is %s', (value, text) => expect(valueText(value)).toBe(text));
});
