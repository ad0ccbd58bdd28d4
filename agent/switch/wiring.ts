/** From settings to the parts of a switch: the same for the switch thread and whoever plays one. */
import { broadcastAddress } from '../../vnic/ip-address.ts';
import { Classifier } from '../core/classify.ts';
import type { CoreSettings } from '../core/node-core.ts';
import type { ThreadContext } from '../threads.ts';
import { linkSettings } from './link-settings.ts';

export function coreSettings(context: ThreadContext): CoreSettings {
  const { beaconMs, maxAgeMs, writeDeadlineMs } = context.settings.storage;
  return { links: linkSettings(context), beaconMs, maxAgeMs, writeDeadlineMs };
}

/** `former`: the one that it replaces. */
export function makeClassifier({ settings, seats }: ThreadContext, former: Classifier | null): Classifier {
  const broadcasts = settings.vnic.addresses.flatMap(({ address, prefix }) => broadcastAddress(address, prefix) ?? []);
  const peers = seats.map(({ seat, peer }) => ({ seat, addresses: peer.addresses }));
  return new Classifier(settings.types, peers, broadcasts, former, {
    outside: settings.gateway.use.length > 0 ? settings.gateway.prefixes : [],
    inside: settings.vnic.addresses,
  });
}
