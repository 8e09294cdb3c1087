package task_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// vectors are the golden numbers of the design, from an independent model.
type vectors struct {
	Money []struct {
		Price          atp.Amount
		E              uint64
		Fee            atp.Amount
		Discharged     atp.Amount
		SeatFee        atp.Amount `json:"seat_fee"`
		Seats          uint64
		Committee      atp.Amount
		MinBond        atp.Amount `json:"min_bond"`
		MinBondMutual  atp.Amount `json:"min_bond_mutual"`
		AuditAtMinBond task.PPM   `json:"audit_p_at_min_bond"`
	}
	AuditP []struct {
		Price, Bond atp.Amount
		P           task.PPM
	} `json:"audit_p"`
	Weight []struct {
		Price atp.Amount
		V     task.PPM
	}
	Cap []struct {
		N   uint64
		Cap task.PPM
	}
	Decay []struct {
		X    task.PPM
		Days task.Day
		Y    task.PPM
	}
	Reputation []struct{ S, F, Rep, LCB task.PPM }
	Unaudited  []struct {
		Theta, Q    task.PPM
		Claim, Mark *task.PPM
	} `json:"unaudited_quality"`
	Capped []struct {
		N                   uint64
		Added, Live, Counts task.PPM
	}
	PoolShare []struct {
		U        atp.Amount
		P        task.PPM
		Pool     atp.Amount
		PoolPays atp.Amount `json:"pool_pays"`
	} `json:"audit_pool_share"`
	Settlement []settlementVector
	Answers    struct {
		Unavailable   task.Answer `json:"UNAVAILABLE"`
		ResourceLimit task.Answer `json:"RESOURCE_LIMIT"`
	}
	Draw []struct {
		Beacon    hexBytes
		Task      hexBytes `json:"task_cid_bytes"`
		Level     task.Level
		Societies []string
		Seats     uint64
		Drawn     []string
	}
	AuditDraw []struct {
		Beacon  hexBytes
		Task    hexBytes `json:"task_cid_bytes"`
		P       task.PPM
		Audited bool
	} `json:"audit_draw"`
	Seal []struct {
		Genesis hexBytes
		Task    hexBytes `json:"task_cid_bytes"`
		Level   task.Level
		Result  hexBytes `json:"result_cid_bytes"`
		Witness hexBytes `json:"witness_peer_id_bytes"`
		Score   task.Answer
		Hash    hexBytes `json:"memory_hash"`
		Salt    hexBytes
		Commit  string
	} `json:"wcommit"`
}

type settlementVector struct {
	Path        task.Path
	Price, Bond atp.Amount
	U           atp.Amount
	Earned      atp.Amount `json:"seats_earned"`
	AuditP      task.PPM   `json:"audit_p"`
	PoolBefore  atp.Amount `json:"pool_before"`
	Requester   atp.Amount
	Executor    atp.Amount
	Seats       atp.Amount
	Pool        int64 // signed: negative when the pool pays
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/economy.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectorsOfMoney(t *testing.T) {
	v, e := readVectors(t), task.DefaultEconomy()
	for _, m := range v.Money {
		c := e.Charges(m.Price, m.E)
		least := c.MinBond(task.Recompute)
		got := []any{
			c.Fee, task.Discharged(c.Fee), c.SeatFee, c.Seats, c.Pay,
			least, c.MinBond(task.Mutual), e.AuditProbability(m.Price, least),
		}
		want := []any{m.Fee, m.Discharged, m.SeatFee, m.Seats, m.Committee, m.MinBond, m.MinBondMutual, m.AuditAtMinBond}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("price %d, %d eligible (-want +got):\n%s", m.Price, m.E, diff)
		}
	}
	if len(v.Money) == 0 {
		t.Error("no vectors of money")
	}
}

func TestVectorsOfArithmetic(t *testing.T) {
	v, e := readVectors(t), task.DefaultEconomy()
	for _, c := range v.AuditP {
		equal(t, "audit_p", c, e.AuditProbability(c.Price, c.Bond), c.P)
	}
	for _, c := range v.PoolShare {
		equal(t, "audit_pool_share", c, e.PoolShare(c.U, c.P, c.Pool), c.PoolPays)
	}
	for _, c := range v.Weight {
		equal(t, "weight", c, task.Weight(c.Price), c.V)
	}
	for _, c := range v.Cap {
		equal(t, "cap", c, task.Cap(c.N), c.Cap)
	}
	for _, c := range v.Capped {
		equal(t, "capped", c, task.Capped(c.Added, c.Live, c.N), c.Counts)
	}
	for _, c := range v.Decay {
		evidence := task.Evidence{For: c.X, Against: c.X, Day: 7}.At(7+c.Days, e.Decay)
		equal(t, "decay", c, evidence, task.Evidence{For: c.Y, Against: c.Y, Day: 7 + c.Days})
	}
	for _, c := range v.Reputation {
		evidence := task.Evidence{For: c.S, Against: c.F}
		equal(t, "reputation", c, evidence.Reputation(), c.Rep)
		equal(t, "lower bound", c, evidence.LowerBound(), c.LCB)
	}
	for _, c := range v.Unaudited {
		equal(t, "unaudited_quality", c, task.AcceptedQuality(c.Theta, c.Claim, c.Mark), c.Q)
	}
	for name, n := range map[string]int{
		"audit_p": len(v.AuditP), "audit_pool_share": len(v.PoolShare), "weight": len(v.Weight), "cap": len(v.Cap), "capped": len(v.Capped),
		"decay": len(v.Decay), "reputation": len(v.Reputation), "unaudited_quality": len(v.Unaudited),
	} {
		if n == 0 {
			t.Errorf("%s: no vectors", name)
		}
	}
}

func equal[R comparable](t *testing.T, name string, vector any, got, want R) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %+v: have %+v, want %+v", name, vector, got, want)
	}
}
