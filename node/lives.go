package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// ErrAgain says that the platform has ended in good order to begin anew on the
// same home, since it leaves its federation for another, or could not join one.
// [Operate] begins anew.
var ErrAgain = errors.New("node: the platform begins anew: run it again on the same home")

// life is what a platform remembers from one node to the next.
type life struct {
	failed map[p2p.Genesis]time.Time // federations that could not be joined, and when; at most maxFailed
	listen []string                  // where it listened
	api    string
}

func newLife() *life { return &life{failed: map[p2p.Genesis]time.Time{}} }

// avoidFor is how long a federation that could not be joined is left alone: it may
// be a liar's, or just switched off.
const avoidFor = 10 * time.Minute

// avoids reports whether a federation could not be joined lately.
func (l *life) avoids(g p2p.Genesis) bool {
	at, failed := l.failed[g]
	return failed && time.Since(at) < avoidFor
}

// failures returns how many federations could not be joined lately.
func (l *life) failures() (n int) {
	for g := range l.failed {
		if l.avoids(g) {
			n++
		}
	}
	return n
}

// fail notes a federation that could not be joined, in place of the oldest of those
// before if need be.
func (l *life) fail(g p2p.Genesis) {
	if len(l.failed) >= maxFailed {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(l.failed)), func(a, b p2p.Genesis) int { return l.failed[a].Compare(l.failed[b]) })
		delete(l.failed, oldest)
	}
	l.failed[g] = time.Now()
}

// Operate runs a platform until ctx ends or a part of it fails: one node after
// another on one home and at one address, as long as each ends with [ErrAgain].
func Operate(ctx context.Context, cfg Config, opts ...Option) error {
	l := newLife()
	for {
		n, err := New(cfg, append(slices.Clone(opts), func(n *Node) { n.life = l })...)
		if err != nil {
			return err
		}
		if err := n.Run(ctx); !errors.Is(err, ErrAgain) {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		cfg.APIAddr = l.api
		if !slices.Equal(cfg.Listen, defaultListen(defaultPort)) { // whose port may be another's now
			cfg.Listen = l.listen
		}
		opts = append(slices.Clip(opts), WithPresence(func(Presence) {})) // its addresses are known
	}
}

// again makes of the error with which the parts of a node ended the one to return.
// A node that was told to end meanwhile does not begin anew.
func (n *Node) again(err error) error {
	var f *forAnother
	switch anew := errors.As(err, &f); {
	case n.told.Load() && (anew || errors.Is(err, ErrAgain)):
		return nil
	case anew:
		if err = n.decideToLeave(f); err == nil {
			err = ErrAgain
		}
	}
	return err
}

// ended closes everything, and returns what Run returns.
func (n *Node) ended(err error) error {
	closed := errors.Join(n.suspect(err), n.close())
	if errors.Is(err, ErrAgain) && closed != nil {
		return closed
	}
	return errors.Join(err, closed)
}

// settleDown notes where the platform listens, for a next life.
func (l *life) settleDown(h *p2p.Host, apiURL string) {
	l.listen = nil
	for _, a := range h.Bound() {
		l.listen = append(l.listen, a.String())
	}
	l.api = strings.TrimPrefix(apiURL, "http://")
}

// movedPorts names the default ports that were taken when the platform began.
func (n *Node) movedPorts(apiURL string) []string {
	var ports []string
	if n.moved {
		ports = append(ports, fmt.Sprintf("port %d", defaultPort))
	}
	if _, port, _ := strings.Cut(view.DefaultAddr, ":"); n.cfg.APIAddr == view.DefaultAddr && apiURL != "http://"+view.DefaultAddr {
		ports = append(ports, "the API's port "+port)
	}
	return ports
}
