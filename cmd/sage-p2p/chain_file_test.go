package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// A chain goes through a file into a new home, whose node then goes on with it.
func TestAChainGoesThroughAFile(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	all := federation(t, ctx, 1)
	a := all[0]
	stage := demo{platforms: all}
	if _, err := stage.agree(ctx, all); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		tell(t, a, nil, "transfer", "--new", apitest.ID("someone").String(), "1")
	}
	file := filepath.Join(t.TempDir(), "chain.car")
	if s := command(ctx, a.home, time.Now, "", "chain", "export", file); s.code != exitUnsafe || !strings.Contains(s.err, "stop") {
		t.Errorf("export beside a running node = %+v", s)
	}
	a.stop()
	var out exported
	tell(t, a, &out, "chain", "export", file)
	if info, err := os.Stat(file); err != nil || info.Size() != out.Bytes || out.Height < 4 {
		t.Errorf("export = %+v, the file is %+v, %v", out, info, err)
	}
	if s := command(ctx, a.home, time.Now, "", "chain", "export", file); s.code != exitFailed || !strings.Contains(s.err, "exists already") {
		t.Errorf("export over a file = %+v", s)
	}

	b := &actor{name: "copy", home: filepath.Join(t.TempDir(), "new")}
	var imported, original, again checked
	tell(t, b, &imported, "chain", "import", file)
	tell(t, a, &original, "chain", "check")
	tell(t, b, &again, "chain", "check")
	if imported != original || again != original {
		t.Errorf("the chain is %+v, imported %+v, there %+v", original, imported, again)
	}
	if s := command(ctx, b.home, time.Now, "", "chain", "import", file); s.code != exitFailed || !strings.Contains(s.err, "has a chain already") {
		t.Errorf("import into a home with a chain = %+v", s)
	}

	other := filepath.Join(t.TempDir(), "other")
	key, err := signer.OpenOrCreate(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(key.Bind(bft.GenesisHash{1}), key.Close()); err != nil {
		t.Fatal(err)
	}
	if s := command(ctx, other, time.Now, "", "chain", "import", file); s.code != exitUnsafe || !strings.Contains(s.err, "use another home") {
		t.Errorf("import for a key of another chain = %+v", s)
	}
	if _, err := os.Stat(filepath.Join(other, "store")); !os.IsNotExist(err) {
		t.Errorf("it left a store: %v", err)
	}

	launch(t, ctx, a)
	waitReady(t, ctx, a)
	st, err := a.node.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b.args = loopback("--network", "test", "--no-work", "--observer", "--bootstrap", st.Listen[0])
	launch(t, ctx, b)
	waitReady(t, ctx, b)
	tell(t, a, nil, "transfer", "--new", apitest.ID("someone").String(), "1")
	if _, err := stage.agree(ctx, []*actor{a, b}); err != nil {
		t.Fatal(err)
	}
	checkBadFiles(t, ctx, file)
}

// checkBadFiles damages a file in many ways. None is imported, each is blamed,
// and no home gets a chain.
func checkBadFiles(t *testing.T, ctx context.Context, file string) {
	t.Helper()
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string][]byte{
		"nothing":    {},
		"no CAR":     []byte("#!/bin/sh\nexit 0\n"),
		"twice":      append(append([]byte{}, good...), good...),
		"a bit more": append(append([]byte{}, good...), 0),
	}
	for i := 1; i < 12; i++ {
		at := i * len(good) / 12
		bad[fmt.Sprint("cut at ", at)] = good[:at]
		flipped := append([]byte{}, good...)
		flipped[at] ^= 1
		bad[fmt.Sprint("a bit flipped at ", at)] = flipped
	}
	for name, b := range bad {
		path, home := filepath.Join(t.TempDir(), "bad.car"), filepath.Join(t.TempDir(), "home")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s := command(ctx, home, time.Now, "", "chain", "import", path)
		if s.code != exitFailed || !strings.Contains(s.err, "cannot be imported") {
			t.Errorf("%s: import = %+v", name, s)
		}
		for _, left := range []string{genesisFile, "store", "store.import"} {
			if _, err := os.Stat(filepath.Join(home, left)); !os.IsNotExist(err) {
				t.Errorf("%s: it left %s, %v", name, left, err)
			}
		}
	}
}
