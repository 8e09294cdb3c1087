package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// One of five is off for as long as the genesis bears: four decide, and its bond
// stays. When it is back it joins again by itself, with that bond.
func TestWhoWasOffForLongComesBackByItself(t *testing.T) {
	params := filepath.Join(t.TempDir(), "params.json")
	rules := `{"membership":{"absent_blocks":5,"absent_ms":100,"evidence_heights":1000,"bond_hold_ms":3600000,"admission_ms":3600000}}`
	if err := os.WriteFile(params, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	var all []*platform
	var where []string
	for i := range 5 {
		p := up(t, fmt.Sprintf("node-%d", i), func(c *node.Config) { c.Expect, c.Bootstrap, c.ParamsFile = 5, where, params }, offering(t, echoing()))
		if i == 0 {
			where = p.wait(t, "listening", listening).Listen
		}
		all = append(all, p)
	}
	registered(t, 5, all...)
	gone, others := all[4], all[:4]
	id := gone.id(t)
	gone.end(t)
	for range 60 { // blocks that it does not sign; some of them have to be as late as absent_ms
		others[0].pays(t, others[1].id(t), 1)
		if s, err := others[0].Status(t.Context()); err == nil && s.Validators == 4 {
			break
		}
	}
	for _, p := range others {
		p.wait(t, "in a set without it", func(s view.Status) bool { return s.Validators == 4 })
	}
	if a, err := others[0].Account(t.Context(), id); err != nil || a.BondedUATP != 100_000_000 {
		t.Errorf("its bond is %+v: %v", a, err)
	}
	all[4] = gone.again(t)
	for _, p := range all {
		p.wait(t, "in a set with it again", func(s view.Status) bool { return s.Validators == 5 })
	}
	if a, err := others[0].Account(t.Context(), id); err != nil || a.BondedUATP != 100_000_000 || a.AvailableUATP != 900_000_000 {
		t.Errorf("it is back with %+v: %v", a, err)
	}
}
