/** The same as in every test run, fifty times. */
process.env['CRASH_KILLS'] = '50';
await import('../system/crash.test.ts');
