#!/bin/sh
# A hook (hooks.onPath) that tells Pacemaker which way packets take, in transient attributes of this node:
#
#   stillbeat-path        the worst path of all peers: network, returning, storage or isolated
#   stillbeat-path-PEER   the path to each peer
#
# A location rule may use them, for example to keep large replication off a node whose network is out:
#
#   <rule id="r" score="-1000"><expression id="e" attribute="stillbeat-path" operation="eq" value="storage"/></rule>
#
# It only reports. The agent's user must be in the group haclient. See also config/ocf/stillbeat, which sets the first one
# again at each monitor, also after a restart of Pacemaker.
set -eu
PATH=$PATH:/usr/sbin:/sbin
attrd_updater --quiet --name "stillbeat-path-$STILLBEAT_PEER" --update "$STILLBEAT_TO"
attrd_updater --quiet --name stillbeat-path --update "$STILLBEAT_WORST"
