package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// ErrInvite reports an invite that opens nothing: it was used, has expired, or was
// not made by the platform that it names.
var ErrInvite = errors.New("node: invite")

// ErrNobodyAnswers reports that the platform which made an invite is not reached.
var ErrNobodyAnswers = errors.New("node: invite: nobody answers")

// inviteFile holds the invite by which a platform has joined: later starts find the
// federation at the addresses in it, and learn its name from it.
const inviteFile = "invite"

// inviteEvery is the pause between two attempts to show an invite.
const inviteEvery = 100 * time.Millisecond

// recallInvite takes up the invite of an earlier start, unless there is a newer one.
func (n *Node) recallInvite() error {
	raw, err := os.ReadFile(filepath.Join(n.cfg.Home, inviteFile))
	if errors.Is(err, fs.ErrNotExist) || n.invite != nil {
		return nil
	} else if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	invite, err := wire.ParseInvite(string(raw))
	if err != nil {
		return fmt.Errorf("node: %s is damaged (%w): remove it, and name a platform of the federation with --bootstrap", inviteFile, err)
	}
	n.invite = &invite
	return nil
}

// rememberInvite keeps the invite by which the platform has joined.
func (n *Node) rememberInvite() error {
	if n.invite == nil || exists(filepath.Join(n.cfg.Home, inviteFile)) {
		return nil
	}
	return writeDurably(n.cfg.Home, inviteFile, []byte(n.invite.String()+"\n"))
}

// first is the federation of a home or, for a newcomer, of its invite: whoever has
// another is not spoken with.
func (n *Node) first(home p2p.Genesis) p2p.Genesis {
	if n.invite != nil && home.IsZero() {
		return n.invite.Genesis
	}
	return home
}

// bootstrap returns whom the operator has named: with --bootstrap, and by the invite.
func (n *Node) bootstrap() ([]peer.AddrInfo, error) {
	list, err := n.cfg.bootstrap()
	if err != nil || n.invite == nil {
		return list, err
	}
	for _, c := range n.invite.Peers {
		addrs, err := parseAll("invited", c.Addrs)
		if err != nil {
			return nil, err
		}
		if c.ID.ID != n.id().ID {
			list = append(list, peer.AddrInfo{ID: c.ID.ID, Addrs: addrs})
		}
	}
	return list, nil
}

// invitedHere reports an invite to another federation than the home's.
func (n *Node) invitedHere(g chain.Genesis) error {
	if n.invite == nil {
		return nil
	}
	return InvitedTo(*n.invite, g)
}

// InvitedTo reports, as ErrInvite, an invite to another federation than that of a
// home's genesis.
func InvitedTo(i wire.Invite, g chain.Genesis) error {
	hash, err := g.Hash()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if want := bft.GenesisHash(i.Genesis); hash != want {
		return fmt.Errorf("%w: this home belongs to the federation %s, and the invite is to %s: choose another --home", ErrInvite, hash, want)
	}
	return nil
}

// joinInvited shows the invite to the platform that made it, until that answers, and
// takes the genesis from it.
func (n *Node) joinInvited(ctx context.Context) (chain.Genesis, error) {
	if err := n.host.SetGenesis(n.invite.Genesis); err != nil {
		return chain.Genesis{}, fmt.Errorf("node: %w", err)
	}
	waiting := fmt.Sprintf("an answer of the platform that made the invite, %s", n.invite.Peers[0].ID)
	for {
		g, err := show(ctx, n.host, *n.invite, false)
		if err == nil || errors.Is(err, ErrInvite) {
			return g, err
		}
		if !n.pause(ctx, inviteEvery, waiting) {
			return chain.Genesis{}, nil
		}
	}
}

// show shows an invite to the platform that made it, and returns the genesis to which
// it leads. Any error but ErrInvite may pass.
func show(ctx context.Context, h *p2p.Host, i wire.Invite, look bool) (chain.Genesis, error) {
	from := i.Peers[0].ID
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	q := wire.Question{Invite: &wire.Redemption{Secret: i.Secret, Look: look}}
	raw, err := atp.Encode(&q)
	if err != nil {
		return chain.Genesis{}, err
	}
	if raw, err = h.Request(ctx, from.ID, raw, wire.MaxWelcome+1024); err != nil {
		return chain.Genesis{}, err
	}
	reply, err := wire.DecodeReply(raw)
	if err != nil {
		return chain.Genesis{}, err
	}
	w, err := wire.DecodeWelcome(reply.Data)
	if err != nil {
		return chain.Genesis{}, err
	}
	switch w.Verdict {
	case wire.InviteUsed:
		return chain.Genesis{}, fmt.Errorf("%w: it has been used by another platform: ask who gave it to you for a new one", ErrInvite)
	case wire.InviteExpired:
		return chain.Genesis{}, fmt.Errorf("%w: it has expired: ask who gave it to you for a new one", ErrInvite)
	case wire.InviteUnknown:
		return chain.Genesis{}, fmt.Errorf("%w: %s says that it never made it: ask who gave it to you for a new one", ErrInvite, from)
	}
	g, err := genesisOf(wire.Reply{Data: w.Genesis}, i.Genesis)
	if err == nil && g.Network != i.Network {
		err = fmt.Errorf("it is of the network %q, not of %q", g.Network, i.Network)
	}
	if err != nil {
		return chain.Genesis{}, fmt.Errorf("%w: %s has told a genesis that cannot be: %w", ErrInvite, from, err)
	}
	return g, nil
}

// TryInvite asks, for a newcomer that has no home yet, whether an invite would open
// its federation: under a key that is forgotten, so that nothing is written for one
// that does not. It returns the genesis.
//
// Errors: ErrInvite; ErrNobodyAnswers when ctx ends before the platform that made the
// invite is reached.
func TryInvite(ctx context.Context, i wire.Invite, log *slog.Logger) (g chain.Genesis, err error) {
	if until := time.UnixMilli(int64(i.Until)); nowAtp() >= i.Until {
		return g, fmt.Errorf("%w: it has expired on %s: ask who gave it to you for a new one", ErrInvite, until.Format(time.DateTime))
	}
	h, changed, err := scout(i, log)
	if err != nil {
		return g, err
	}
	run, end := context.WithCancel(ctx)
	defer end()
	var work errgroup.Group
	work.Go(func() error { return h.Run(run) })
	for last := "no address of it answers"; ; {
		g, err = show(run, h, i, true)
		if err == nil || errors.Is(err, ErrInvite) {
			break
		}
		for _, w := range h.Wanted() {
			if w.ID == i.Peers[0].ID.ID && w.LastError != "" {
				last = oneLine(w.LastError)
			}
		}
		select {
		case <-changed:
		case <-time.After(inviteEvery):
		case <-ctx.Done():
			err = fmt.Errorf("%w: %s, which made it, is not reached: %s", ErrNobodyAnswers, i.Peers[0].ID, last)
		}
		if errors.Is(err, ErrNobodyAnswers) {
			break
		}
	}
	end()
	return g, errors.Join(err, work.Wait())
}

// scout makes the host of a newcomer that only looks.
func scout(i wire.Invite, log *slog.Logger) (*p2p.Host, <-chan struct{}, error) {
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("node: invite: %w", err)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(secret)
	if err != nil {
		return nil, nil, fmt.Errorf("node: invite: %w", err)
	}
	cfg := p2p.Config{
		Key: key, Network: i.Network, Genesis: i.Genesis, Agent: "sage-p2p/" + Version, Limits: p2p.EdgeLimits(),
		Listen: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/0")},
	}
	for _, c := range i.Peers {
		addrs, err := parseAll("invited", c.Addrs)
		if err != nil {
			return nil, nil, err
		}
		cfg.Bootstrap = append(cfg.Bootstrap, peer.AddrInfo{ID: c.ID.ID, Addrs: addrs})
	}
	changed := make(chan struct{}, 1)
	h, err := p2p.New(cfg, p2p.WithLogger(log), p2p.WithEvents(func(p2p.Event) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}))
	return h, changed, err
}
