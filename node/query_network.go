package node

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
)

// notReady says that there is no chain to ask yet.
func notReady(waiting string) error {
	return &view.Error{
		Code: view.CodeNotReady, Message: "the node waits for " + waiting,
		Hint: "see what it waits for: sage-p2p status", Retryable: true,
	}
}

// Status implements api.Network. It answers also while there is no chain.
func (n *Node) Status(context.Context) (view.Status, error) {
	peers := n.host.Peers()
	s := view.Status{
		PeerID: n.id().ID, Name: n.cfg.Name, Network: n.cfg.Network, Mode: view.ModeForming,
		Peers: len(peers), ClockOffsetMS: medianOffset(peers), Version: Version,
		Listen: n.addrs(), Alarms: n.hub.alarmed(), PID: os.Getpid(), Public: n.cfg.Public, Relays: n.relays(),
	}
	r := n.chain.Load()
	if r == nil {
		s.Waiting = n.waitsFor()
		return s, nil
	}
	state := r.state()
	tip, totals, set := state.Tip(), state.Totals(), state.Validators()
	account, err := state.Account(n.id())
	if err != nil {
		return s, err
	}
	progress := r.progress.Load()
	s.Founder, s.FounderName, s.Genesis = r.founders[0].ID.ID, r.founders[0].Name, r.genesis.String()
	s.Height, s.Block, s.StateRoot, s.FinalTimeMS = view.Height(tip.Height), viewCID(tip.ID), viewCID(state.Root()), view.Millis(tip.Time)
	s.Mode = modeOf(state)
	s.Validator = set.Contains(bft.ID(n.id())) && !n.cfg.Observer
	s.Validators, s.Quorum = set.Len(), set.Quorum()
	if s.OnlyValidator, err = onlyValidator(state, n.id()); err != nil {
		return s, err
	}
	s.BalanceUATP, s.LockedUATP, s.BondedUATP = view.Amount(account.Available), view.Amount(account.Locked), view.Amount(account.Bonded)
	s.Mempool, s.Syncing = progress.Pending, progress.Behind()
	s.Totals = view.Totals{
		SupplyUATP: view.Amount(totals.Supply), AvailableUATP: view.Amount(totals.Available), LockedUATP: view.Amount(totals.Locked),
		BondedUATP: view.Amount(totals.Bonded), PoolUATP: view.Amount(totals.Pool), DischargedUATP: view.Amount(totals.Discharged),
	}
	switch {
	case progress.Unmet:
		s.Waiting = "a validator to tell how far the chain is"
	case s.Syncing:
		s.Waiting = "the blocks that other platforms have and this one not yet"
	}
	return s, nil
}

// modeOf says what the federation's size lets it promise.
func modeOf(s chain.State) view.Mode {
	switch societies := societiesOf(s); {
	case societies <= 1:
		return view.ModeSolo
	case societies <= 3:
		return view.ModeTrusted
	case societies == 4:
		return view.ModeVoid
	}
	return view.ModeFull
}

// societiesOf counts the societies with a platform: where anyone is admitted, each
// platform is one.
func societiesOf(s chain.State) uint64 {
	if s.Params().Admission == chain.AdmitAuto {
		return s.Census().Platforms
	}
	return s.Census().Societies
}

// medianOffset is the median of what the peers' clocks are ahead of ours.
func medianOffset(peers []p2p.Peer) int64 {
	offsets := []int64{0} // our own
	for _, p := range peers {
		offsets = append(offsets, p.Offset.Milliseconds())
	}
	slices.Sort(offsets)
	return offsets[len(offsets)/2]
}

// Peers implements api.Network.
func (n *Node) Peers(context.Context) ([]view.Peer, error) {
	list := []view.Peer{}
	for _, p := range n.host.Peers() {
		v := view.Peer{
			PeerID: p.ID, Name: p.Name, Path: p.Path.String(), Why: p.Why, Via: p.Via, Relays: p.Relays, Direction: strings.ToLower(p.Direction.String()),
			RoundTripUS: p.RTT.Microseconds(), Version: p.Agent, SinceMS: view.Millis(p.Since.UnixMilli()),
		}
		if len(p.Addrs) > 0 {
			v.Address = p.Addrs[0].String()
		}
		if r := n.chain.Load(); r != nil {
			v.Validator = r.state().Validators().Contains(bft.ID{ID: p.ID})
			v.Height = view.Height(r.wires.present.claimed(p.ID))
		}
		list = append(list, v)
	}
	return list, nil
}

// connected returns the peers that are, this platform included.
func (n *Node) connected() map[peer.ID]bool {
	up := map[peer.ID]bool{n.id().ID: true}
	for _, p := range n.host.Peers() {
		up[p.ID] = true
	}
	return up
}

// Platforms implements api.Network.
func (n *Node) Platforms(context.Context) ([]view.Platform, error) {
	r, err := n.ready()
	if err != nil {
		return nil, err
	}
	state, up := r.state(), n.connected()
	standing, err := reputations(state)
	if err != nil {
		return nil, err
	}
	list := []view.Platform{}
	err = state.EachPlatform(func(id atp.ID, p task.Platform) error {
		v := viewPlatform(id, p)
		v.Reputation = standing[id]
		v.Validator = state.Validators().Contains(bft.ID(id))
		v.Connected = up[id.ID]
		stake, _, err := state.Stake(id)
		v.StakeUATP = view.Amount(stake.Staying())
		list = append(list, v)
		return err
	})
	slices.SortFunc(list, func(a, b view.Platform) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

func viewPlatform(id atp.ID, p task.Platform) view.Platform {
	v := view.Platform{
		PeerID: id.ID, Name: string(p.Name), Society: string(p.Society), Horizon: viewHorizon(p.Horizon),
		Hardware: view.Hardware{
			RAMMiB: uint64(p.Hardware.RAM / task.MiB), AcceleratorCores: p.Hardware.Accelerators,
			PowerMilliwatts: p.Hardware.Power, Architecture: p.Hardware.Architecture,
		},
		Offers: []view.Offer{}, Runtimes: []string{}, Reputation: []view.Reputation{},
	}
	for _, o := range p.Offers {
		v.Offers = append(v.Offers, view.Offer{
			Type: string(o.Type), LowUATP: view.Amount(o.Low), MediumUATP: view.Amount(o.Medium),
			HighUATP: view.Amount(o.High), CriticalUATP: view.Amount(o.Critical),
		})
	}
	for _, r := range p.Runtimes {
		v.Runtimes = append(v.Runtimes, string(r))
	}
	return v
}

func viewHorizon(h task.Horizon) view.Horizon {
	return view.Horizon{Spatial: string(h.Spatial), Temporal: string(h.Temporal), Complexity: string(h.Complexity)}
}

// reputations returns everyone's standing, decayed to the day of the state.
func reputations(s chain.State) (map[atp.ID][]view.Reputation, error) {
	day, decay := task.DayOf(s.Tip().Time), s.Params().Economy.Decay
	all := map[atp.ID][]view.Reputation{}
	err := s.EachEvidence(func(k task.Key, e task.Evidence) error {
		if k.Counterpart != "" {
			return nil
		}
		e = e.At(day, decay)
		all[k.Who] = append(all[k.Who], view.Reputation{
			Role: string(k.Role), Type: string(k.Type), ReputationPPM: view.PPM(e.Reputation()), LCBPPM: view.PPM(e.LowerBound()),
			SuccessPPM: view.PPM(e.For), FailurePPM: view.PPM(e.Against),
		})
		return nil
	})
	for _, list := range all {
		slices.SortFunc(list, func(a, b view.Reputation) int {
			return strings.Compare(a.Role+"/"+a.Type, b.Role+"/"+b.Type)
		})
	}
	return all, err
}
