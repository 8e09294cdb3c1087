package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/p2p/lantest"
)

// asLiar is set for processes that tests start to be liars on the LAN: it holds
// what they say, as JSON.
const asLiar = "SAGE_TEST_AS_LIAR"

// lie is what a liar says of itself. It serves nothing.
type lie struct {
	Genesis p2p.Genesis
	Note    byte
	Founder string
}

// formsAlone is what a platform says that would found a federation by itself.
const formsAlone = 1

// tellLie is the process of a liar.
func tellLie(text string) error {
	var l lie
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return err
	}
	return l.tell()
}

// tell says it until the process is ended.
func (l lie) tell() error {
	h, err := p2p.New(p2p.Config{
		Key: lowKey(), Network: "lan", Genesis: l.Genesis, Name: "liar", Limits: p2p.EdgeLimits(), MDNS: true,
		Listen: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/0.0.0.0/tcp/0")},
	})
	if err != nil {
		return err
	}
	h.SetNote(l.Note)
	if l.Founder != "" {
		if err := h.Announce(map[string]string{"name": "liar", "founder": l.Founder, "genesis": l.Genesis.String(), "since": "-5"}); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return h.Run(ctx)
}

// lowKey is a key whose peer ID comes before nearly all others.
func lowKey() (lowest crypto.PrivKey) {
	var id peer.ID
	for i := range uint64(5000) {
		seed := binary.BigEndian.AppendUint64(make([]byte, ed25519.SeedSize-8), i)
		key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
		if err != nil {
			panic(err)
		}
		if of, err := peer.IDFromPrivateKey(key); err == nil && (lowest == nil || of < id) {
			lowest, id = key, of
		}
	}
	return lowest
}

// lies starts a liar in a machine of the LAN, until the test ends.
func lies(t *testing.T, place *lantest.Place, l lie) {
	t.Helper()
	text, err := json.Marshal(l)
	must(t, err)
	cmd := place.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asLiar+"="+string(text))
	var problem bytes.Buffer
	cmd.Stderr = &problem
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the liar: %v: %s", err, problem.String())
		}
	})
}

// Liars cost those who form a federation seconds, not their federation: one that
// says that it will found and never does, and one whose federation is none.
func TestALiarKeepsNobodyFromFounding(t *testing.T) {
	for _, tt := range []struct {
		name string
		lie  lie
	}{
		{"it says that it will found, and never does", lie{Note: formsAlone}},
		{"it says that it has a federation, and serves none", lie{Genesis: p2p.Genesis{1: 'x'}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := lantest.New(t)
			lies(t, on(l, 1), tt.lie)
			a, b := newMachine(t, on(l, 2), "thor"), newMachine(t, on(l, 3), "loki")
			begun := time.Now()
			a.up()
			b.up()
			agrees(a, b)
			t.Logf("one federation after %s", time.Since(begun).Round(time.Millisecond))
			// A third may follow the liar that has a federation for as long as it
			// looks like one, but not one that only speaks of founding.
			third := newMachine(t, on(l, 4), "freya").up()
			if third.joins(); tt.lie.Genesis.IsZero() {
				agrees(a, b, third)
			}
		})
	}
}

// What a liar announces is shown as what it is, and cannot harm a terminal.
func TestALiarInTheFederationList(t *testing.T) {
	t.Parallel()
	l := lantest.New(t)
	lies(t, on(l, 1), lie{Genesis: p2p.Genesis{1: 'x'}, Founder: "thor, honestly"})
	listener := newMachine(t, on(l, 2), "nobody")
	listener.eventually("the liar", func() bool {
		var list heardList
		must(t, listener.tell(&list, "federation", "list"))
		f := federationNamed(list, "lan")
		return f.Genesis == fmt.Sprint(p2p.Genesis{1: 'x'}) && f.Founder == "thor, honestly" && f.SinceMS == 0
	})
}
