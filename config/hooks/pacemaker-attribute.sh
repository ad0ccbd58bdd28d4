#!/bin/sh
# A hook (hooks.onPath) that tells Pacemaker which way packets take, in transient attributes of this node:
#
#   stillbeat-path-PEER      the path to each peer: network, returning, storage or isolated; deleted when it leaves the settings
#   stillbeat-path           the worst path of all peers
#   stillbeat-network-peers  how many peers the network reaches
#
# Location rules may use them; README.md has one for a resource that is to leave a node whose network is out. It asks for the
# last one: of one node's cut the worst path tells on all nodes, and a rule against it would stop the resource.
#
# It only reports. The agent's user must be in the group haclient. See also config/ocf/stillbeat, which sets the last two
# again at each monitor, also after a restart of Pacemaker.
set -eu
PATH=$PATH:/usr/sbin:/sbin

set_attribute() {
  attrd_updater --quiet --name "$@" || status=$?
  # 102: Pacemaker does not run. The agent is there before it; nobody needs to hear of that at each start of a machine.
  case ${status:-0} in
    0) ;;
    102) exit 0 ;;
    *) exit "$status" ;;
  esac
}

network_peers=0
for peer in $STILLBEAT_PATHS; do
  case $peer in *=network) network_peers=$((network_peers + 1)) ;; esac
done
case $STILLBEAT_TO in
  removed) set_attribute "stillbeat-path-$STILLBEAT_PEER" --delete ;;
  *) set_attribute "stillbeat-path-$STILLBEAT_PEER" --update "$STILLBEAT_TO" ;;
esac
set_attribute stillbeat-path --update "$STILLBEAT_WORST"
# Nodes do not see the same cut in the same moment, and no resource shall move for that: Pacemaker hears of all of them at once.
set_attribute stillbeat-network-peers --update "$network_peers" --delay 2s
