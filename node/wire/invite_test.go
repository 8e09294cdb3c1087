package wire

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/bft"
)

func someInvite() Invite {
	return Invite{
		Network: "field", Genesis: [32]byte{1, 2, 3}, Secret: [16]byte{4, 5, 6}, Until: 1_900_000_000_000,
		Peers: []Contact{{ID: bft.IDFromKey([32]byte{7}), Addrs: []string{"/ip4/1.2.3.4/tcp/7422", "/ip4/1.2.3.4/udp/7422/quic-v1"}}},
	}
}

func TestAnInviteIsReadAsItWasWritten(t *testing.T) {
	want := someInvite()
	text := want.String()
	t.Logf("%d characters: %s", len(text), text)
	for name, given := range map[string]string{
		"as it is": text, "in capitals": strings.ToUpper(text), "with more after it": "  " + text + "\nsingle use, until tomorrow\n",
	} {
		got, err := ParseInvite(given)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b bft.ID) bool { return a == b })); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestADamagedInviteIsRefused(t *testing.T) {
	text := someInvite().String()
	for i := len(inviteMark); i < len(text); i++ {
		changed := []byte(text)
		if changed[i]++; changed[i] > 'z' || changed[i] == '8' {
			changed[i] = 'a'
		}
		if _, err := ParseInvite(string(changed)); !errors.Is(err, ErrMalformed) {
			t.Fatalf("with another character at %d: %v, want ErrMalformed", i, err)
		}
		if _, err := ParseInvite(text[:i]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut after %d characters: %v, want ErrMalformed", i, err)
		}
	}
	for _, other := range []string{"", " ", "sage1", "lnbc1", "/ip4/1.2.3.4/tcp/1", strings.Repeat("sage1a", 10_000)} {
		if _, err := ParseInvite(other); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.20q: %v, want ErrMalformed", other, err)
		}
	}
}

func TestAnInviteSaysWhatJoiningNeeds(t *testing.T) {
	for name, change := range map[string]func(*Invite){
		"no network":              func(i *Invite) { i.Network = "" },
		"a network for terminals": func(i *Invite) { i.Network = "x\x1b[2J" },
		"no genesis":              func(i *Invite) { i.Genesis = [32]byte{} },
		"no end":                  func(i *Invite) { i.Until = 0 },
		"nobody":                  func(i *Invite) { i.Peers = nil },
		"a platform nowhere":      func(i *Invite) { i.Peers[0].Addrs = nil },
		"too many addresses":      func(i *Invite) { i.Peers[0].Addrs = make([]string, maxInviteAddrs+1) },
		"no address":              func(i *Invite) { i.Peers[0].Addrs[0] = "here" },
		"an address of another":   func(i *Invite) { i.Peers[0].Addrs[0] += "/p2p/" + i.Peers[0].ID.String() },
	} {
		i := someInvite()
		change(&i)
		if _, err := ParseInvite(i.String()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

func TestAWelcomeHasAGenesisIfItIsOne(t *testing.T) {
	for _, tt := range []struct {
		w  Welcome
		ok bool
	}{
		{Welcome{InviteTaken, []byte("{}")}, true},
		{Welcome{InviteUsed, nil}, true},
		{Welcome{InviteTaken, nil}, false},
		{Welcome{InviteExpired, []byte("{}")}, false},
		{Welcome{}, false},
		{Welcome{InviteExpired + 1, nil}, false},
	} {
		if _, err := DecodeWelcome(encoded(t, &tt.w)); (err == nil) != tt.ok {
			t.Errorf("%+v: %v, want it taken: %v", tt.w, err, tt.ok)
		}
	}
}

func FuzzParseInvite(f *testing.F) {
	f.Add(someInvite().String())
	relayed := someInvite()
	relayed.Peers[0].Addrs = []string{"/ip4/1.2.3.4/tcp/7422/p2p/" + relayed.Peers[0].ID.String() + "/p2p-circuit"}
	f.Add(relayed.String())
	f.Add("sage1aa")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := ParseInvite(text)
		if refused(t, []byte(text), i, err) {
			return
		}
		if word := strings.ToLower(strings.Fields(text)[0]); i.String() != word {
			t.Errorf("%q was read, and is written as %q", word, i.String())
		}
	})
}

func FuzzDecodeWelcome(f *testing.F) {
	for _, w := range []Welcome{{InviteTaken, []byte("{}")}, {InviteUsed, nil}} {
		f.Add(encoded(f, &w))
	}
	junk, _ := hex.DecodeString("8201")
	f.Add(junk)
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, err := DecodeWelcome(raw)
		if refused(t, raw, w, err) {
			return
		}
		same(t, raw, &w)
	})
}
