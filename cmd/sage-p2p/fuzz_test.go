package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// refusedAs fails unless err blames what was given, by this exit code and in
// words that can be shown.
func refusedAs(t *testing.T, err error, code int) {
	t.Helper()
	var r *refusal
	if !errors.As(err, &r) || r.code != code || r.message == "" {
		t.Fatalf("refused by %#v, want exit code %d", err, code)
	}
}

// FuzzConfigFile reads config.toml. What cannot be is blamed on the file; what
// can be changes no setting that the file does not speak of.
func FuzzConfigFile(f *testing.F) {
	f.Add([]byte("name = \"thor\"\n# none\nlisten = []\nexpect = 4\n"))
	f.Add([]byte("profile = \"server\"\ngenesis = \"g.json\"\n"))
	f.Add([]byte("expect = \"4\""))
	f.Add([]byte("[name]\nx = 1"))
	f.Add([]byte("nmae = 1"))
	f.Add([]byte(configTemplate()))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file := filepath.Join(t.TempDir(), configFile)
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s, sources := defaultSettings(), map[string]string{}
		if err := s.readFile(file, sources); err != nil {
			refusedAs(t, err, exitUsage)
			return
		}
		defaults := defaultSettings()
		for _, key := range settingKeys() {
			if _, said := sources[key]; !said && tomlLine(key, s.value(key)) != tomlLine(key, defaults.value(key)) {
				t.Errorf("the file does not speak of %s, and it is %v", key, s.value(key))
			}
		}
		for key := range sources {
			if !slices.Contains(settingKeys(), key) {
				t.Errorf("a key %q is taken", key)
			}
		}
	})
}

// FuzzUntil reads the instant of a deadline: never one that has passed.
func FuzzUntil(f *testing.F) {
	now := time.Unix(1_790_000_000, 0)
	for _, s := range []string{"+30m", "+2540400h", "+-1h", "2026-12-31T12:00:00Z", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "+", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := parseUntil(s, now)
		if err != nil {
			refusedAs(t, err, exitUsage)
			return
		}
		if at < view.Millis(now.UnixMilli()) || at > 1<<53 {
			t.Fatalf("%q is %d", s, at)
		}
	})
}

// FuzzShare reads a quality, exactly.
func FuzzShare(f *testing.F) {
	for _, s := range []string{"0", "1", "0.85", "1.000000", "1.000001", "0.1234567", ".5", "1e-1", "-0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parseShare("--quality", s)
		if err != nil {
			refusedAs(t, err, exitUsage)
			return
		}
		// As an amount of ATP, which has as many decimals, it is the same number.
		whole, _, _ := strings.Cut(s, ".")
		if a, err := atp.ParseAmount(strings.TrimSuffix(s, ".")); err != nil || uint64(a) != uint64(p) || p > 1_000_000 || whole == "" {
			t.Fatalf("%q is %d ppm, %d, %v", s, p, a, err)
		}
	})
}

// FuzzOffer reads the offer of a platform: a type, and prices above nothing.
func FuzzOffer(f *testing.F) {
	for _, s := range []string{"vision=5", "vision=1/2/3/4", "vision=1/2", "=5", "vision", "vision=0", "a=b=c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := parseOffer(s)
		if err != nil {
			refusedAs(t, err, exitUsage)
			return
		}
		if o.Type == "" || !strings.HasPrefix(s, o.Type+"=") || min(o.LowUATP, o.MediumUATP, o.HighUATP, o.CriticalUATP) == 0 {
			t.Fatalf("%q is %+v", s, o)
		}
	})
}

// FuzzWords parts a line of the shell. Words put into quotes come back.
func FuzzWords(f *testing.F) {
	for _, s := range []string{`transfer "a b" 1`, `a\ b 'c"d' # rest`, `"`, `\`, "a\tb\r", `''`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitWords(line)
		if err != nil {
			refusedAs(t, err, exitUsage)
			return
		}
		var again []string
		for _, w := range words {
			again = append(again, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		if got, err := splitWords(strings.Join(again, " ")); err != nil || !slices.Equal(got, words) {
			t.Fatalf("%q is %q, then %q, %v", line, words, got, err)
		}
	})
}

// FuzzLogLine shows a line of a log that anything may have written to: nothing of
// it reaches a terminal but what can be printed, in one line.
func FuzzLogLine(f *testing.F) {
	f.Add([]byte(`{"time":"2026-01-01T00:00:00Z","level":"WARN","msg":"hello","peer":"12D3","n":1.5,"x":{"a":[null]}}`))
	f.Add([]byte("{\"time\":\"2026-01-01T00:00:00Z\",\"msg\":\"\\u001b[31m\"}"))
	f.Add([]byte("no JSON \x1b[2J"))
	f.Fuzz(func(t *testing.T, line []byte) {
		text := readable(line)
		if i := strings.IndexFunc(text, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }); i >= 0 {
			t.Fatalf("%q is shown as %q", line, text)
		}
	})
}

// shortChain is a CAR file of a chain of n blocks by its one founder.
func shortChain(tb testing.TB, n int) []byte {
	tb.Helper()
	check := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	id := atp.IDFromKey([32]byte(key[32:]))
	g := chain.NewGenesis("testing", 1_700_000_000_000, chain.DefaultParams(chain.AdmitAuto), chain.Founder{ID: id, Name: "alone"})
	message, err := g.SigningBytes()
	check(err)
	g, err = g.WithSignature(id, bft.Signature(ed25519.Sign(key, message)))
	check(err)
	s, err := store.New(store.NewMemory())
	check(err)
	state, nodes, err := g.State()
	check(err)
	check(s.Found(state, nodes))
	c, err := newCheck(g)
	check(err)
	var last *bft.CommitCert
	for h := bft.Height(1); h <= bft.Height(n); h++ {
		header := chain.Header{
			Time: c.state.Tip().Time + 1000, Proposer: bft.ID(id), BeaconProof: bft.ProveBeacon(key, c.state.Beacon(), h), LastCommit: last,
		}
		b, _, err := chain.Assemble(c.state, header, nil)
		check(err)
		block, err := b.Header.ID()
		check(err)
		said := bft.Statement{Kind: bft.KindCommit, Height: h, Block: block, HighView: bft.NoView}
		last = &bft.CommitCert{Height: h, Block: block, Signers: bft.Bitmap{1},
			Signatures: []bft.Signature{bft.Signature(ed25519.Sign(key, said.SignedBytes(c.hash)))}}
		final, err := c.execute(b.Header, b.Body(), *last)
		check(err)
		check(s.Commit(final))
	}
	head, err := s.Head()
	check(err)
	var file bytes.Buffer
	check(writeChain(context.Background(), &file, s, g, head))
	return file.Bytes()
}

// FuzzChainFile imports a chain from a file that anyone may have written. It is
// taken block by block, each with a certificate that holds, or the file is blamed.
func FuzzChainFile(f *testing.F) {
	f.Add(shortChain(f, 0))
	f.Add(shortChain(f, 3))
	f.Add([]byte("no CAR"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		blamed := func(err error) bool {
			var bad *badFile
			if err != nil && !errors.As(err, &bad) {
				t.Fatalf("the file is not blamed: %v", err)
			}
			return err != nil
		}
		r, g, err := openChainFile(bytes.NewReader(raw))
		if blamed(err) {
			return
		}
		if err := g.Validate(); err != nil {
			t.Fatalf("a genesis is taken that founds no chain: %v", err)
		}
		c, err := newCheck(g)
		if err != nil {
			t.Fatal(err)
		}
		for c.state.Tip().ID != r.end(c) {
			before := c.state.Tip().Height
			final, err := r.block(c)
			if blamed(err) {
				return
			}
			if final.Cert.Height != before+1 || c.state.Tip().Height != before+1 {
				t.Fatalf("block %d is taken on %d", final.Cert.Height, before)
			}
		}
	})
}
