package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// defaultGrant is what a vote grants that does not say otherwise: as much as a
// founder has.
const defaultGrant = 1_000 * atp.ATP

// standingVote is what some validators have voted for, on the same terms.
type standingVote struct {
	chain.Vote // Until is that of the first vote that ends
	voters     []atp.ID
}

// standingVotes returns what today's validators have voted for and not admitted
// yet, by platform, what most have voted for first.
func standingVotes(state chain.State, now atp.Millis) ([]standingVote, error) {
	var list []standingVote
	for _, id := range state.Validators().IDs() {
		ballot, err := state.Ballot(atp.ID(id))
		if err != nil {
			return nil, err
		}
		for _, v := range ballot.Votes {
			if v.Until < now {
				continue
			}
			i := slices.IndexFunc(list, func(o standingVote) bool {
				return o.Platform == v.Platform && o.Grant == v.Grant && o.Society == v.Society
			})
			if i < 0 {
				i, list = len(list), append(list, standingVote{Vote: v})
			}
			list[i].Until = min(list[i].Until, v.Until)
			list[i].voters = append(list[i].voters, atp.ID(id))
		}
	}
	slices.SortStableFunc(list, func(a, b standingVote) int {
		return cmp.Or(atp.Compare(a.Platform, b.Platform), cmp.Compare(len(b.voters), len(a.voters)))
	})
	return list, nil
}

// viewAdmissions is standingVotes, for people.
func (n *Node) viewAdmissions(state chain.State) ([]view.Admission, error) {
	list := []view.Admission{}
	votes, err := standingVotes(state, atp.Millis(nowMillis()))
	for _, v := range votes {
		a := view.Admission{
			PeerID: v.Platform.ID, Society: v.Society, GrantUATP: view.Amount(v.Grant), Needed: state.Validators().Quorum(),
			Voters: []peer.ID{}, UntilMS: view.Millis(v.Until),
		}
		if a.Name, err = n.knownAs(state, v.Platform); err != nil {
			return nil, err
		}
		for _, id := range v.voters {
			a.Voters = append(a.Voters, id.ID)
		}
		list = append(list, a)
	}
	return list, err
}

// knownAs returns the name of a platform: the ledger's, or the one that it calls
// itself while it is connected.
func (n *Node) knownAs(state chain.State, id atp.ID) (string, error) {
	name, named, err := state.NameOf(id)
	if err != nil || named {
		return string(name), err
	}
	for _, p := range n.host.Peers() {
		if p.ID == id.ID {
			return p.Name, nil
		}
	}
	return "", nil
}

// VoteOnValidator implements api.Wallet. What the vote does not say is as most of
// the others have it who voted for that platform.
func (n *Node) VoteOnValidator(ctx context.Context, platform peer.ID, ask view.NewVote) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	on, err := atp.IDFromPeer(platform)
	if err != nil {
		return view.Submission{}, &view.Error{Code: view.CodeInvalid, Message: err.Error()}
	}
	state := r.state()
	if err := n.mayVote(r, state, on); err != nil {
		return view.Submission{}, err
	}
	vote := &chain.ValidatorVote{Platform: on, Against: ask.Against}
	if !ask.Against {
		if vote.Grant, vote.Society, err = n.voteTerms(state, on, ask); err != nil {
			return view.Submission{}, err
		}
	}
	tx, err := r.wallet.submit(ctx, vote, 0)
	return view.Submission{TxID: viewCID(tx.ID())}, err
}

// voteTerms completes those of a vote.
func (n *Node) voteTerms(state chain.State, on atp.ID, ask view.NewVote) (grant atp.Amount, society string, err error) {
	votes, err := standingVotes(state, atp.Millis(nowMillis()))
	if err != nil {
		return 0, "", err
	}
	if grant, err = grantFor(votes, on, ask.GrantUATP); err != nil {
		return 0, "", err
	}
	if i := votesOn(votes, on); i >= 0 {
		society = votes[i].Society
	} else if society, err = n.societyFor(state, on); err != nil {
		return 0, "", err
	}
	if ask.Society != nil {
		society = *ask.Society
	}
	return grant, society, nil
}

// votesOn is the place of what most have voted for about a platform, or negative.
func votesOn(votes []standingVote, on atp.ID) int {
	return slices.IndexFunc(votes, func(v standingVote) bool { return v.Platform == on })
}

// grantFor is what a vote grants: what it says, or as others have it. To more than
// is usual nobody is followed without a word: the first who votes may be lying.
func grantFor(votes []standingVote, on atp.ID, said *view.Amount) (atp.Amount, error) {
	i := votesOn(votes, on)
	switch {
	case said != nil:
		return atp.Amount(*said), nil
	case i < 0:
		return defaultGrant, nil
	case votes[i].Grant > defaultGrant:
		return 0, &view.Error{
			Code:    view.CodeRefused,
			Message: fmt.Sprintf("%d of the validators would grant %s ATP to %s, more than the usual %s ATP", len(votes[i].voters), votes[i].Grant, on, defaultGrant),
			Hint:    fmt.Sprintf("if you would too, say so: --grant %s", votes[i].Grant),
		}
	}
	return votes[i].Grant, nil
}

// societyFor is the society that a platform is voted in with unless somebody says
// otherwise: the one that it has, or one of its own name.
func (n *Node) societyFor(state chain.State, on atp.ID) (string, error) {
	_, has, err := state.Admitted(on)
	if err != nil || has != "" {
		return string(has), err
	}
	name, err := n.knownAs(state, on)
	if err != nil || task.Name(name).Check() != nil {
		return "", err
	}
	taken, err := state.SocietyExists(task.Society(name))
	if taken {
		name = ""
	}
	return name, err
}

// mayVote refuses what the ledger would.
func (n *Node) mayVote(r *running, state chain.State, on atp.ID) error {
	no := func(hint, format string, args ...any) error {
		return &view.Error{Code: view.CodeRefused, Message: fmt.Sprintf(format, args...), Hint: hint, Height: view.Height(state.Tip().Height)}
	}
	admitted, _, err := state.Admitted(on)
	switch {
	case err != nil:
		return err
	case state.Params().Admission != chain.AdmitVote:
		return no("it asks by itself, or with sage-p2p validator join there", "this federation admits every registered platform, without votes")
	case !state.Validators().Contains(bft.ID(n.id())):
		return no("see who has one: sage-p2p validators", "this platform has no vote")
	case admitted:
		return no("see who has a vote: sage-p2p validators", "%s is admitted already", on)
	}
	return n.afford(r)
}

// awaits says what keeps this platform from a vote, where platforms are voted in;
// empty if nothing does.
func (n *Node) awaits(state chain.State) (string, error) {
	admitted, _, err := state.Admitted(n.id())
	if err != nil || admitted || n.cfg.Observer {
		return "", err
	}
	set := state.Validators()
	votes, err := standingVotes(state, atp.Millis(nowMillis()))
	if err != nil {
		return "", err
	}
	have := 0
	if i := votesOn(votes, n.id()); i >= 0 {
		have = len(votes[i].voters)
	}
	return fmt.Sprintf("this federation admits by vote: %d of its %d validators have to vote for this platform, and %d have; on each: sage-p2p validator vote %s",
		set.Quorum(), set.Len(), have, n.id()), nil
}
