/** The same as in every test run, a hundred times. */
process.env['RECORDER_KILLS'] = '100';
await import('../system/mirror-history-kill.test.ts');
