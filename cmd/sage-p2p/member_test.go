package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// Real processes: one founds, two join by its address and get their votes by
// themselves; one gives its vote back, and
// takes it up again; one takes another key.
func TestProcessesGrowAFederation(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	ctx := t.Context()
	all := federation(t, ctx, 1)
	st, err := all[0].node.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 3; i++ {
		a := &actor{name: fmt.Sprintf("node%d", i), home: t.TempDir()}
		a.args = loopback("--network", "test", "--bootstrap", st.Listen[0])
		launch(t, ctx, a)
		waitReady(t, ctx, a)
		all = append(all, a)
	}
	for _, a := range all {
		if err := a.until(ctx, "to see three validators", func() (bool, error) {
			set, err := a.node.Validators(ctx)
			return len(set.Members) == 3, err
		}); err != nil {
			t.Fatal(err)
		}
	}
	tell(t, all[0], nil, "transfer", "node2", "1.5")
	var sub view.Submission
	tell(t, all[2], &sub, "validator", "leave") // it would leave two, and waits
	var set view.Validators
	tell(t, all[2], &set, "validators")
	if len(set.Members) != 3 {
		t.Errorf("after a LEAVE that waits, %d validate", len(set.Members))
	}
	tell(t, all[2], &sub, "validator", "join")
	tell(t, all[1], &sub, "key", "rotate")
	if st, err = all[1].node.Status(ctx); err != nil || st.PeerID != sub.NewID || !st.Validator {
		t.Errorf("with its new key it is %+v, want %s with its vote: %v", st, sub.NewID, err)
	}
	tell(t, all[1], nil, "transfer", "node2", "1.5")
	tell(t, all[0], nil, "transfer", "node1", "1.5") // which is the name of the new key
	for _, a := range all {
		a.stop()
		tell(t, a, nil, "chain", "check")
	}
}

func TestTheKeyOfAHomeIsShownWithoutANode(t *testing.T) {
	home := t.TempDir()
	if s := command(t.Context(), home, time.Now, "", "key", "show"); s.code != exitFailed || !strings.Contains(s.err, "there is no key in "+home) {
		t.Errorf("of a home without a key: %+v", s)
	}
	key, err := signer.OpenOrCreate(home)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	s := command(t.Context(), home, time.Now, "", "key", "show")
	if s.code != exitDone || !strings.Contains(s.out, key.ID().ID.String()) || !strings.Contains(s.out, filepath.Join(home, signer.KeyFile)) {
		t.Errorf("key show = %+v, want %s", s, key.ID())
	}
}
