/** The same as in every test run, with fifty kills. */
process.env['TARGET_KILLS'] = '50';
await import('../system/mirror-target-history.test.ts');
