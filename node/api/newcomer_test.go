package api

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// guested is a node with a peer that no block knows, and that has named itself.
type guested struct{ Node }

func (g guested) Peers(ctx context.Context) ([]view.Peer, error) {
	peers, err := g.Node.Peers(ctx)
	return append(peers, view.Peer{PeerID: apitest.ID("impostor"), Name: "loki"}), err
}

// A name that a peer has given itself, or the end of its ID, is no reason to vote
// for it: it is told whose that is, and only the whole ID votes.
func TestOnlyTheWholeIDOfAStrangerVotesForIt(t *testing.T) {
	s := &Server{node: guested{apitest.New()}}
	impostor := apitest.ID("impostor")
	whole := impostor.String()
	for _, text := range []string{"loki", whole[len(whole)-6:]} {
		id, err := s.newcomer(t.Context(), text)
		var no *view.Error
		if !errors.As(err, &no) || no.Code != view.CodeNotFound || !strings.Contains(no.Hint, whole) || !strings.Contains(no.Message, "calls itself") {
			t.Errorf("%q votes for %s: %v", text, id, err)
		}
	}
	if id, err := s.newcomer(t.Context(), whole); err != nil || id != impostor {
		t.Errorf("its ID votes for %s: %v", id, err)
	}
	if id, err := s.newcomer(t.Context(), "beta"); err != nil || id != apitest.ID("beta") {
		t.Errorf("a registered name votes for %s: %v", id, err)
	}
	if _, err := s.newcomer(t.Context(), "nobody-here"); err == nil {
		t.Error("a name of nobody votes")
	}
}
