"""KuCoin's protocol, as the replay exchange speaks it."""
