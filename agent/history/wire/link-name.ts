/** The link to a recorder has a key of its own: no group of a mirror can have such a name. */
import type { LinkName } from '../../mirror/link/link-key.ts';

export const recorderLink = (name: string): LinkName => ({ group: 'recorder:', target: name });
