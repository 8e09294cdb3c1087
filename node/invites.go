package node

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// invitesFile holds the invites that this platform has made.
const invitesFile = "invites.json"

const (
	maxInvites     = 1024                // remembered
	inviteMemory   = 30 * 24 * time.Hour // after its end: until then its bearer is told what became of it
	longestInvite  = 30 * 24 * time.Hour
	defaultInvite  = 24 * time.Hour
	inviteAddrs    = 4 // of one platform
	inviteFellows  = 2 // other public platforms, beside the one that invites
	maxInviteLabel = 64
)

// invites are those that this platform has made. That one is used is on the disk
// before its bearer hears of it, so that no crash makes two uses of one.
type invites struct {
	home string
	log  *slog.Logger

	turn sync.Mutex   // held while the file is written, too: invites are rare
	list []invitation // guarded by turn
}

// invitation is one of them. Its secret is known to its bearer alone.
type invitation struct {
	Hash   string     `json:"secret_sha256"`
	For    string     `json:"for,omitempty"`
	Until  atp.Millis `json:"until_ms"`
	UsedBy string     `json:"used_by,omitempty"` // peer ID
	Used   atp.Millis `json:"used_ms,omitempty"`
}

func (n *Node) openInvites() error {
	n.invites = &invites{home: n.cfg.Home, log: n.log}
	raw, err := os.ReadFile(filepath.Join(n.cfg.Home, invitesFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("node: invites: %w", err)
	default:
		var list []invitation
		if err := json.Unmarshal(raw, &list); err != nil {
			return fmt.Errorf("node: invites: %s is damaged (%w): remove it; the invites that were not used yet are lost", invitesFile, err)
		}
		n.invites.list = list
	}
	return n.recallInvite()
}

// write puts a list on the disk, and then in force. The caller holds turn.
func (b *invites) write(list []invitation) error {
	raw, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("node: invites: %w", err)
	}
	if err := writeDurably(b.home, invitesFile, append(raw, '\n')); err != nil {
		return err
	}
	b.list = list
	return nil
}

// add remembers an invite that is to be made, and forgets those that ended long ago.
func (b *invites) add(i invitation, now atp.Millis) error {
	b.turn.Lock()
	defer b.turn.Unlock()
	list := slices.DeleteFunc(slices.Clone(b.list), func(o invitation) bool {
		return o.Until.Add(atp.Span(inviteMemory.Milliseconds())) < now
	})
	if len(list) >= maxInvites {
		return &view.Error{Code: view.CodeRefused, Message: fmt.Sprintf("this platform has made %d invites in the last month", len(list)), Hint: "wait until some of them are forgotten, 30 days after their end"}
	}
	return b.write(append(list, i))
}

// redeem judges an invite and, but for a look, takes it. Who has used it may use it
// again: the first answer may have been lost.
func (b *invites) redeem(by peer.ID, r wire.Redemption, now atp.Millis) (wire.Verdict, error) {
	hash := hashOf(r.Secret)
	b.turn.Lock()
	defer b.turn.Unlock()
	at := slices.IndexFunc(b.list, func(i invitation) bool { return i.Hash == hash })
	if at < 0 {
		return wire.InviteUnknown, nil
	}
	switch i := b.list[at]; {
	case i.UsedBy == by.String():
		return wire.InviteTaken, nil
	case i.UsedBy != "":
		return wire.InviteUsed, nil
	case now >= i.Until:
		return wire.InviteExpired, nil
	case r.Look:
		return wire.InviteTaken, nil
	}
	list := slices.Clone(b.list)
	list[at].UsedBy, list[at].Used = by.String(), now
	if err := b.write(list); err != nil {
		return 0, err
	}
	b.log.Info("an invite was used", "peer", by, "for", list[at].For)
	return wire.InviteTaken, nil
}

func hashOf(secret [16]byte) string {
	sum := sha256.Sum256(secret[:])
	return hex.EncodeToString(sum[:])
}

// welcome answers the bearer of an invite.
func (n *Node) welcome(from peer.ID, ask wire.Redemption, r *running) (wire.Reply, error) {
	verdict, err := n.invites.redeem(from, ask, nowAtp())
	if err != nil {
		n.log.Error("an invite could not be taken", "err", err)
		return wire.Reply{}, fmt.Errorf("%w: its disk fails", errNotHere)
	}
	w := wire.Welcome{Verdict: verdict}
	if verdict == wire.InviteTaken {
		w.Genesis = r.genesisJSON
	}
	// Whoever likes may show secrets that are none, and fills no log: what an invite
	// lets in is told once.
	n.log.Debug("an invite was shown", "peer", from, "verdict", verdict, "look", ask.Look)
	raw, err := atp.Encode(&w)
	return wire.Reply{Data: raw}, err
}

// Invite implements api.Invites.
func (n *Node) Invite(_ context.Context, ask view.NewInvite) (view.Invite, error) {
	r, err := n.ready()
	if err != nil {
		return view.Invite{}, err
	}
	life := defaultInvite
	if ask.ExpiresMS > 0 {
		life = time.Duration(min(ask.ExpiresMS, view.Span(longestInvite.Milliseconds()+1))) * time.Millisecond
	}
	if life > longestInvite {
		return view.Invite{}, &view.Error{Code: view.CodeInvalid, Message: fmt.Sprintf("an invite lasts at most %d days", longestInvite/(24*time.Hour))}
	}
	if len(ask.For) > maxInviteLabel {
		return view.Invite{}, &view.Error{Code: view.CodeInvalid, Message: fmt.Sprintf("for has %d bytes, and at most %d fit", len(ask.For), maxInviteLabel)}
	}
	now := nowAtp()
	i := wire.Invite{Network: n.cfg.Network, Genesis: r.genesis, Until: now.Add(atp.Span(life.Milliseconds()))}
	rand.Read(i.Secret[:])
	var reach view.Reach
	if i.Peers, reach = n.meetingPoints(); len(i.Peers) == 0 {
		return view.Invite{}, &view.Error{Code: view.CodeRefused, Message: "this platform is reached nowhere: it has no network address", Hint: "see why with: sage-p2p doctor"}
	}
	if err := i.Check(); err != nil {
		return view.Invite{}, ours(err)
	}
	if err := n.invites.add(invitation{Hash: hashOf(i.Secret), For: ask.For, Until: i.Until}, now); err != nil {
		return view.Invite{}, err
	}
	return view.Invite{Invite: i.String(), Network: i.Network, Genesis: r.genesis.String(), For: ask.For, UntilMS: view.Millis(i.Until), Reach: reach}, nil
}
