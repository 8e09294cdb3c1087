package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/signer"
)

// A real node: it takes its settings from the file in its home, tells its log,
// and ends when it is told to.
func TestANodeIsConfiguredLoggedAndStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	t.Setenv(asProgram, "1")
	a := &actor{name: "thor", home: t.TempDir(), args: []string{"--network", "field"}}
	file := "# mine\nname = \"not-thor\"\nnetwork = \"work\"\napi_addr = \"127.0.0.1:0\"\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n"
	writeConfig(t, a.home, file)
	launch(t, ctx, a)
	waitReady(t, ctx, a)
	st, err := a.node.Status(ctx)
	if err != nil || st.Name != "thor" || st.Network != "field" || len(st.Listen) != 1 || !strings.Contains(st.Listen[0], "127.0.0.1") {
		t.Errorf("status = %+v, %v; want the flags over the file, and the file over the defaults", st, err)
	}
	if b, err := os.ReadFile(filepath.Join(a.home, configFile)); err != nil || string(b) != file {
		t.Errorf("up changed the file to %q, %v", b, err)
	}
	if out := tell(t, a, nil, "logs"); !strings.Contains(out, "listening") {
		t.Errorf("logs said %q", out)
	}

	out := tell(t, a, nil, "stop")
	if free, err := signer.Free(a.home); !free || err != nil {
		t.Errorf("after stop the home is free: %v, %v", free, err)
	}
	if !strings.Contains(out, "has ended") {
		t.Errorf("stop said %q", out)
	}
	<-a.gone
	if code := a.cmd.ProcessState.ExitCode(); code != exitDone {
		t.Errorf("the node ended with %d", code)
	}
	if out := tell(t, a, nil, "stop"); !strings.Contains(out, "no node is running") {
		t.Errorf("a second stop said %q", out)
	}
	if err := os.Remove(filepath.Join(a.home, configFile)); err != nil {
		t.Fatal(err)
	}
	a.args = append(a.args, loopback()...)
	launch(t, ctx, a)
	waitReady(t, ctx, a)
	if b, err := os.ReadFile(filepath.Join(a.home, configFile)); err != nil || string(b) != configTemplate() {
		t.Errorf("a home without a file has %q, %v, want the template", b, err)
	}
	if s := command(ctx, filepath.Join(a.home, "none"), time.Now, "", "stop"); s.code != exitFailed || !strings.Contains(s.err, "there is no folder") {
		t.Errorf("stop of no home = %+v", s)
	}
}

// A home that is held by a process that does not answer is not said to be free.
func TestStopDoesNotTrustSilence(t *testing.T) {
	home := t.TempDir()
	held, err := signer.OpenOrCreate(home)
	if err != nil {
		t.Fatal(err)
	}
	s := command(t.Context(), home, time.Now, "", "stop")
	if s.code != exitUnreachable || !strings.Contains(s.err, "does not answer") {
		t.Errorf("stop = %+v", s)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if s := command(t.Context(), home, time.Now, "", "stop"); s.code != exitDone {
		t.Errorf("stop of a free home = %+v", s)
	}
}

// Stopping by someone who has not the token changes nothing.
func TestStopNeedsTheHomesToken(t *testing.T) {
	d := sit(t)
	url, err := os.ReadFile(filepath.Join(d.home, "api.addr"))
	if err != nil {
		t.Fatal(err)
	}
	s := command(t.Context(), t.TempDir(), time.Now, "", "--api", strings.TrimSpace(string(url)), "stop")
	if s.code != exitFailed || !strings.Contains(s.err, "only the owner") {
		t.Errorf("stop = %+v", s)
	}
	select {
	case <-d.node.Stopped:
		t.Error("the node was stopped")
	default:
	}
	d.ok("stop")
	<-d.node.Stopped
}
