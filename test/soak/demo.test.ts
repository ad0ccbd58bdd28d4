/** The same as in every test run, with copies of all kinds. */
process.env['DEMO_COPIES'] = 'all';
await import('../system/demo.test.ts');
