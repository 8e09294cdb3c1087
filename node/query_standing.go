package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// Bounds of a reputation's story.
const (
	maxMoves   = 32 // the newest changes
	maxSources = 64 // counterpart societies of one role, those that said most
)

// Reputation implements api.Explains.
func (n *Node) Reputation(_ context.Context, id peer.ID) (view.ReputationStory, error) {
	r, err := n.ready()
	if err != nil {
		return view.ReputationStory{}, err
	}
	state, who := r.state(), atp.ID{ID: id}
	name, named, err := state.NameOf(who)
	if err != nil {
		return view.ReputationStory{}, err
	}
	account, err := state.Account(who)
	if err != nil {
		return view.ReputationStory{}, err
	}
	if !named && account == (atp.Account{}) {
		return view.ReputationStory{}, notFound(nil, "no block has ever touched an account %s", who)
	}
	story := view.ReputationStory{PeerID: id, Name: string(name), Height: view.Height(state.Tip().Height)}
	if story.Parts, err = standings(state, who); err != nil {
		return story, err
	}
	story.Newest, err = n.standingMoves(who)
	return story, err
}

// standings returns who's standing in each role, with its arithmetic.
func standings(state chain.State, who atp.ID) ([]view.ReputationPart, error) {
	day, economy := task.DayOf(state.Tip().Time), state.Params().Economy
	capped := task.Cap(state.Census().Societies)
	parts := map[task.Key]*view.ReputationPart{} // by key without a counterpart
	sources := map[task.Key][]view.Source{}
	err := state.EachEvidence(func(k task.Key, e task.Evidence) error {
		if k.Who != who {
			return nil
		}
		now := e.At(day, economy.Decay)
		if k.Counterpart == "" {
			parts[k] = standingPart(k, e, now, day, economy)
			return nil
		}
		of := k
		of.Counterpart = ""
		sources[of] = append(sources[of], view.Source{
			Society: string(k.Counterpart), SuccessPPM: view.PPM(now.For), FailurePPM: view.PPM(now.Against), CapPPM: view.PPM(capped),
		})
		return nil
	})
	list := []view.ReputationPart{}
	for k, p := range parts {
		p.Sources = sources[k]
		slices.SortFunc(p.Sources, func(a, b view.Source) int {
			if more := int64(b.SuccessPPM+b.FailurePPM) - int64(a.SuccessPPM+a.FailurePPM); more != 0 {
				return int(max(-1, min(1, more)))
			}
			return strings.Compare(a.Society, b.Society)
		})
		p.Sources = p.Sources[:min(len(p.Sources), maxSources)]
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b view.ReputationPart) int { return strings.Compare(a.Role+"/"+a.Type, b.Role+"/"+b.Type) })
	return list, err
}

// standingPart says in words how a reputation is reckoned.
func standingPart(k task.Key, stored, now task.Evidence, day task.Day, economy task.Economy) *view.ReputationPart {
	rep, low := now.Reputation(), now.LowerBound()
	p := &view.ReputationPart{
		Reputation: view.Reputation{
			Role: string(k.Role), Type: string(k.Type), ReputationPPM: view.PPM(rep), LCBPPM: view.PPM(low),
			SuccessPPM: view.PPM(now.For), FailurePPM: view.PPM(now.Against),
		},
		AsOfMS: view.Millis(stored.Day) * view.Millis(atp.Day),
	}
	say := func(format string, args ...any) { p.Steps = append(p.Steps, fmt.Sprintf(format, args...)) }
	say("each settled task adds its weight: the root of its price in units of 18 ATP, at most 4; times %s where no witness has looked",
		decimals(economy.Unaudited))
	if days := day - min(day, stored.Day); days > 0 {
		say("as it was last touched: good %s, bad %s; each of the %d days since has left %s of it",
			decimals(stored.For), decimals(stored.Against), days, decimals(economy.Decay))
	}
	say("good %s, bad %s", decimals(now.For), decimals(now.Against))
	say("reputation: (good + 5) / (good + bad + 10) = %s / %s = %s: a newcomer begins with ten tasks, half of them good",
		decimals(now.For+5*task.S), decimals(now.For+now.Against+10*task.S), decimals(rep))
	say("at least: %s less the spread of that much evidence, %s, is %s: by this routers choose", decimals(rep), decimals(rep-low), decimals(low))
	return p
}

// standingMoves returns the newest changes of somebody's standing, the newest
// first.
func (n *Node) standingMoves(who atp.ID) ([]view.StandingMove, error) {
	moves := []view.StandingMove{}
	var before store.Position
	for seen := 0; len(moves) < maxMoves && seen < maxLookedAt; {
		page, err := n.store.AccountHistory(who, before, searchedTasks)
		if err != nil || len(page) == 0 {
			return moves, err
		}
		seen += len(page)
		for _, h := range page {
			before = h.Position
			if f, ok := h.Event.Fact.(*task.ReputationChanged); ok && f.Who == who && len(moves) < maxMoves {
				moves = append(moves, view.StandingMove{
					TimeMS: view.Millis(h.Time), Height: view.Height(h.Height), TaskID: viewCID(f.Task), Role: string(f.Role),
					Type: string(f.Type), OldPPM: view.PPM(f.Old), NewPPM: view.PPM(f.New), Cause: string(f.Cause),
				})
			}
		}
	}
	return moves, nil
}
