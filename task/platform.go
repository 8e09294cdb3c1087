package task

import (
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Name is what people call a platform. It is unique in a federation.
type Name string

// Hardware is what a platform says of its machine. Nothing relies on it.
type Hardware struct {
	RAM          Size   `json:"ram_bytes"`
	Accelerators uint64 `json:"accelerator_cores"`
	Power        uint64 `json:"power_mw"`     // budget, in milliwatts
	Architecture string `json:"architecture"` // such as arm64
}

// Offer is a type of task that a platform takes, and its prices.
type Offer struct {
	Type      Type       `json:"type"`
	Low       atp.Amount `json:"low_uatp"` // by the task's complexity
	Medium    atp.Amount `json:"medium_uatp"`
	High      atp.Amount `json:"high_uatp"`
	Critical  atp.Amount `json:"critical_uatp"`
	PerSecond atp.Amount `json:"per_second_uatp"` // of estimated, not measured, latency
}

// Platform is the record of a PLATFORM_REGISTER.
type Platform struct {
	Name     Name      `json:"name"`
	Society  Society   `json:"society"` // where societies are admitted by vote; may be empty
	Hardware Hardware  `json:"hardware"`
	Horizon  Horizon   `json:"horizon"` // the widest it takes
	Offers   []Offer   `json:"offers" cborgen:"maxlen=16"`
	Runtimes []Runtime `json:"runtimes" cborgen:"maxlen=16"`
}

// maxList bounds the offers, and the runtimes, of a platform.
const maxList = 16

// DecodePlatform reads a platform's record in its one form, and checks it.
func DecodePlatform(data []byte) (Platform, error) {
	var p Platform
	if err := atp.Decode(data, &p); err != nil {
		return Platform{}, err
	}
	return p, p.Check()
}

// Check returns an error unless n is 3 to 32 of a-z 0-9 -.
func (n Name) Check() error { return checkName("name", string(n)) }

// Check returns an error unless s could be the name of a society.
func (s Society) Check() error { return checkName("society", string(s)) }

// Check reports, as [ErrPlatform], what is wrong with the record. Whether its
// name is free and its society admitted is for the state to say.
func (p Platform) Check() error {
	problems := []error{p.Name.Check(), p.Horizon.Check(), checkWord("architecture", p.Hardware.Architecture, 1, 32, "_-")}
	if p.Society != "" {
		problems = append(problems, p.Society.Check())
	}
	for i, o := range p.Offers {
		problems = append(problems, o.Type.Check())
		if slices.ContainsFunc(p.Offers[:i], func(before Offer) bool { return before.Type == o.Type }) {
			problems = append(problems, fmt.Errorf("offers: have type %s twice, want it once", o.Type))
		}
	}
	for i, r := range p.Runtimes {
		problems = append(problems, r.Check())
		if slices.Contains(p.Runtimes[:i], r) {
			problems = append(problems, fmt.Errorf("runtimes: have %s twice, want it once", r))
		}
	}
	if len(p.Offers) > maxList || len(p.Runtimes) > maxList {
		problems = append(problems, fmt.Errorf("have %d offers and %d runtimes, want at most %d of each",
			len(p.Offers), len(p.Runtimes), maxList))
	}
	for _, problem := range problems {
		if problem != nil {
			return fmt.Errorf("%w: %w", ErrPlatform, problem)
		}
	}
	return nil
}

// Offer returns the platform's offer for a type of task, if it takes them.
func (p Platform) Offer(t Type) (Offer, bool) {
	i := slices.IndexFunc(p.Offers, func(o Offer) bool { return o.Type == t })
	if i < 0 {
		return Offer{}, false
	}
	return p.Offers[i], true
}

// Runs reports whether the platform has the runtime.
func (p Platform) Runs(r Runtime) bool { return slices.Contains(p.Runtimes, r) }

// Quote returns the price of a task: that of its complexity, and PerSecond for
// as long as it is estimated to take. An unknown complexity costs as much as
// the highest; a price that does not fit is the largest Amount.
func (o Offer) Quote(c Complexity, estimate atp.Span) atp.Amount {
	base := o.Critical
	switch c {
	case Low:
		base = o.Low
	case Medium:
		base = o.Medium
	case High:
		base = o.High
	}
	price, err := base.Add(atp.CeilDiv(o.PerSecond, estimate, atp.Second))
	if err != nil {
		return atp.MaxAmount
	}
	return price
}

// DefaultOffer returns the prices of the design for a type. A type that it
// does not name costs as much as vision.
func DefaultOffer(t Type) Offer {
	prices := func(low, medium, high, critical, perSecond atp.Amount) Offer {
		return Offer{t, low * atp.ATP, medium * atp.ATP, high * atp.ATP, critical * atp.ATP, perSecond}
	}
	switch t {
	case LLMInference:
		return prices(10, 30, 50, 150, atp.ATP)
	case Coordination:
		return prices(50, 150, 300, 1000, 2*atp.ATP)
	case Consolidation:
		return prices(100, 500, 1000, 5000, 10*atp.ATP/60)
	default:
		return prices(11, 34, 56, 200, 230*atp.ATP)
	}
}

// checkName returns an error unless s is 3 to 32 of a-z 0-9 -.
func checkName(what, s string) error {
	ok := len(s) >= 3 && len(s) <= 32
	for _, c := range []byte(s) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("%s: have %.80q, want 3 to 32 of a-z 0-9 -", what, s)
	}
	return nil
}
