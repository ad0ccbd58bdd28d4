/** The schema of what stillbeat knows of corosync. */
import { group, path, type Schema } from './schema-words.ts';

export const corosync: Schema = group('Advice on the token of a corosync on this node, in `status`.', {
  conf: {
    ...path('/etc/corosync/corosync.conf', 'Its settings file, which is only read. Where there is none, nothing is.'),
    default: '/etc/corosync/corosync.conf',
  },
});
