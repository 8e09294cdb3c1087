package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/multiformats/go-multiaddr"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// Invite is a right to join a federation, once. As text it is sage1 and then, in
// base32, its DAG-CBOR and the first four bytes of the SHA-256 of that.
type Invite struct {
	Network string     `cborgen:"maxlen=32"`
	Genesis [32]byte   // hash: whoever answers must have the genesis that it names
	Secret  [16]byte   // known to the platform that made the invite
	Until   atp.Millis // from then on it is of no use
	Peers   []Contact  `cborgen:"maxlen=4"` // the platform that made it, and others of its federation
}

// Bounds of an invite.
const (
	maxInvitePeers = 4
	maxInviteAddrs = 8   // of one
	maxInviteAddr  = 256 // bytes
	maxInviteText  = 8 << 10
	inviteMark     = "sage1"
	inviteSum      = 4 // bytes
)

var inviteText = base32.StdEncoding.WithPadding(base32.NoPadding)

// String returns the invite as it is handed on.
func (i Invite) String() string {
	raw, err := atp.Encode(&i)
	if err != nil {
		return "" // one that Check has passed can be encoded
	}
	sum := sha256.Sum256(raw)
	return inviteMark + strings.ToLower(inviteText.EncodeToString(append(raw, sum[:inviteSum]...)))
}

// ParseInvite reads the first word of a text as an invite, whatever its case: what
// prints one may say more after it. Its errors wrap ErrMalformed.
func ParseInvite(text string) (Invite, error) {
	no := func(format string, args ...any) (Invite, error) {
		return Invite{}, fmt.Errorf("%w: invite: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	words := strings.Fields(text[:min(len(text), maxInviteText)])
	if len(words) == 0 {
		return no("it is empty")
	}
	body, marked := strings.CutPrefix(strings.ToLower(words[0]), inviteMark)
	if !marked {
		return no("it does not begin with %s", inviteMark)
	}
	raw, err := inviteText.DecodeString(strings.ToUpper(body))
	if err != nil || len(raw) <= inviteSum || strings.ToLower(inviteText.EncodeToString(raw)) != body {
		return no("a part of it is missing, or was changed")
	}
	raw, have := raw[:len(raw)-inviteSum], raw[len(raw)-inviteSum:]
	if want := sha256.Sum256(raw); !bytes.Equal(have, want[:inviteSum]) {
		return no("a part of it is missing, or was changed")
	}
	var i Invite
	if err := Decode(raw, maxInviteText, &i); err != nil {
		return Invite{}, err
	}
	return i, i.Check()
}

// Check reports what no correct platform puts into an invite.
func (i Invite) Check() error {
	no := func(format string, args ...any) error {
		return fmt.Errorf("%w: invite: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	switch {
	case task.Name(i.Network).Check() != nil:
		return no("network name %q", i.Network)
	case i.Genesis == [32]byte{}:
		return no("it names no genesis")
	case i.Until == 0:
		return no("it has no end")
	case len(i.Peers) == 0 || len(i.Peers) > maxInvitePeers:
		return no("it names %d platforms, want 1 to %d", len(i.Peers), maxInvitePeers)
	}
	for _, p := range i.Peers {
		if len(p.Addrs) == 0 || len(p.Addrs) > maxInviteAddrs {
			return no("%s has %d addresses, want 1 to %d", p.ID, len(p.Addrs), maxInviteAddrs)
		}
		for _, text := range p.Addrs {
			a, err := multiaddr.NewMultiaddr(text)
			if err != nil || len(text) > maxInviteAddr || a.String() != text {
				return no("address %.60q of %s", text, p.ID)
			}
			if _, last := multiaddr.SplitLast(a); last == nil || last.Protocol().Code == multiaddr.P_P2P {
				return no("address %.60q of %s names a platform", text, p.ID)
			}
		}
	}
	return nil
}

// Redemption asks the platform that made an invite to take it.
type Redemption struct {
	Secret [16]byte
	Look   bool // say what would be answered, and change nothing
}

// Welcome answers a Redemption.
type Welcome struct {
	Verdict Verdict
	Genesis []byte `cborgen:"maxlen=1048576"` // JSON, with InviteTaken
}

// Verdict is what becomes of an invite.
type Verdict uint64

// The verdicts.
const (
	InviteTaken   Verdict = iota + 1 // it is the bearer's; with Look: it would be
	InviteUnknown                    // this platform made none with that secret
	InviteUsed                       // another has used it
	InviteExpired
)

func (v Verdict) String() string {
	switch v {
	case InviteTaken:
		return "taken"
	case InviteUnknown:
		return "unknown"
	case InviteUsed:
		return "used"
	case InviteExpired:
		return "expired"
	}
	return fmt.Sprintf("Verdict(%d)", uint64(v))
}

// MaxWelcome bounds an encoded Welcome: a genesis, and a little.
const MaxWelcome = 1<<20 + 64

// DecodeWelcome reads an answer to a Redemption.
func DecodeWelcome(raw []byte) (Welcome, error) {
	var w Welcome
	if err := Decode(raw, MaxWelcome, &w); err != nil {
		return Welcome{}, err
	}
	if taken := w.Verdict == InviteTaken; w.Verdict == 0 || w.Verdict > InviteExpired || taken != (len(w.Genesis) > 0) {
		return Welcome{}, fmt.Errorf("%w: welcome: have verdict %s with %d bytes of genesis", ErrMalformed, w.Verdict, len(w.Genesis))
	}
	return w, nil
}
