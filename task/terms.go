package task

import (
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// PPM is a share in parts per million: a quality, a probability, a weight.
type PPM uint64

// S is the whole.
const S PPM = 1_000_000

// Type says what kind of work a task is; reputation is earned per type.
type Type string

// The types known by name. A platform may register for any other.
const (
	LLMInference  Type = "llm_inference"
	Vision        Type = "vision"
	Coordination  Type = "coordination"
	Consolidation Type = "consolidation"
	SensorFusion  Type = "sensor_fusion"
)

// Runtime names what executes a program, as platforms register it.
type Runtime string

// Complexity is the requester's estimate of the work.
type Complexity string

// The complexities, by growing work.
const (
	Low      Complexity = "low"
	Medium   Complexity = "medium"
	High     Complexity = "high"
	Critical Complexity = "critical"
)

// Class says who finds a result's quality.
type Class string

// The verification classes of the design.
const (
	Mutual    Class = "mutual"    // the two parties
	Recompute Class = "recompute" // witnesses, by executing again
	Checker   Class = "checker"   // witnesses, by a deterministic program
	Judge     Class = "judge"     // witnesses, by a rubric
)

// Size is a number of bytes.
type Size uint64

// Sizes that bound a task.
const (
	Page    Size = 64 << 10 // a task's memory limit is a whole number of these
	MiB     Size = 1 << 20
	MaxBlob Size = 1 << 30 // of an input or a result, in class mutual
)

// Memory limits of a program.
const (
	DefaultMemory      = 256 * MiB
	MaxMemory     Size = 4 << 30
)

// Spatial, Temporal and Scope say how far a task reaches, each from the
// narrowest to the widest.
type (
	Spatial  string
	Temporal string
	Scope    string
)

// The reaches of the design.
const (
	Local    Spatial = "local"
	Regional Spatial = "regional"
	Global   Spatial = "global"

	Ephemeral Temporal = "ephemeral"
	Session   Temporal = "session"
	DayLong   Temporal = "day"
	Epoch     Temporal = "epoch"

	Simple      Scope = "simple"
	Agent       Scope = "agent"
	SocietyWide Scope = "society"
)

// Horizon is the reach of a task, or the widest that a platform takes.
type Horizon struct {
	Spatial    Spatial  `json:"spatial"`
	Temporal   Temporal `json:"temporal"`
	Complexity Scope    `json:"complexity"`
}

// Each returns its values from the narrowest to the widest.
func complexities() []Complexity { return []Complexity{Low, Medium, High, Critical} }
func classes() []Class           { return []Class{Mutual, Recompute, Checker, Judge} }
func spatials() []Spatial        { return []Spatial{Local, Regional, Global} }
func temporals() []Temporal      { return []Temporal{Ephemeral, Session, DayLong, Epoch} }
func scopes() []Scope            { return []Scope{Simple, Agent, SocietyWide} }

// Within reports whether h reaches no further than wide in any dimension. An
// unknown reach is within none.
func (h Horizon) Within(wide Horizon) bool {
	return notAbove(spatials(), h.Spatial, wide.Spatial) &&
		notAbove(temporals(), h.Temporal, wide.Temporal) &&
		notAbove(scopes(), h.Complexity, wide.Complexity)
}

func notAbove[T comparable](order []T, a, b T) bool {
	i := slices.Index(order, a)
	return i >= 0 && i <= slices.Index(order, b)
}

// Check returns an error that names a dimension of unknown reach.
func (h Horizon) Check() error {
	if err := oneOf("spatial horizon", h.Spatial, spatials()); err != nil {
		return err
	}
	if err := oneOf("temporal horizon", h.Temporal, temporals()); err != nil {
		return err
	}
	return oneOf("complexity horizon", h.Complexity, scopes())
}

// Terms are what a requester asks for. They are part of the task's ID, so
// nobody can change them afterwards.
type Terms struct {
	Type            Type           `json:"type"`
	Complexity      Complexity     `json:"complexity"`
	Horizon         Horizon        `json:"horizon"`
	Runtime         Runtime        `json:"runtime"`
	Program         cid.Cid        `json:"program"` // raw
	Memory          Size           `json:"memory"`  // the program's limit, whole pages
	Input           cid.Cid        `json:"input"`   // raw
	InputSize       Size           `json:"input_size"`
	Executor        atp.OptionalID `json:"executor"` // nobody: open to the first who is eligible
	Price           atp.Amount     `json:"price_uatp"`
	MinQuality      PPM            `json:"min_quality_ppm"` // θ
	Class           Class          `json:"class"`
	Checker         *cid.Cid       `json:"checker"` // raw; in class checker, nowhere else
	OfferWindow     atp.Span       `json:"offer_window_ms"`
	ExecutionWindow atp.Span       `json:"execution_window_ms"`
	Private         bool           `json:"private"` // for the executor named, nobody else's eyes
}

// Posting is a task as it is posted: terms, and where they stand in the chain.
// Its CID is the task's ID, and the ID of its lock.
type Posting struct {
	Genesis   [32]byte // hash of the chain's genesis
	Requester atp.ID
	Nonce     uint64 // of the transaction
	Index     uint64 // of the operation in the transaction
	Terms     Terms
}

// ID returns the task's ID, or an error if the terms cannot be encoded.
func (p Posting) ID() (cid.Cid, error) {
	data, err := atp.Encode(&p)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: %w", ErrTerms, err)
	}
	return atp.Sum(data), nil
}

// DecodeTerms reads terms in their one form, and checks them by themselves.
func DecodeTerms(data []byte) (Terms, error) {
	var t Terms
	if err := atp.Decode(data, &t); err != nil {
		return Terms{}, err
	}
	return t, t.Check()
}

// Check reports, as [ErrTerms], what is wrong with the terms whatever the
// economy: an unknown word, a CID of the wrong kind.
func (t Terms) Check() error {
	for _, problem := range []error{
		t.Type.Check(),
		t.Runtime.Check(),
		oneOf("complexity", t.Complexity, complexities()),
		t.Horizon.Check(),
		oneOf("class", t.Class, classes()),
		checkBlob("program", t.Program),
		checkBlob("input", t.Input),
		t.checkChecker(),
	} {
		if problem != nil {
			return fmt.Errorf("%w: %w", ErrTerms, problem)
		}
	}
	switch {
	case t.Memory < Page || t.Memory > MaxMemory || t.Memory%Page != 0:
		return fmt.Errorf("%w: memory: have %d bytes, want whole pages of %d, at most %d", ErrTerms, t.Memory, Page, MaxMemory)
	case t.InputSize > MaxBlob:
		return fmt.Errorf("%w: input: have %d bytes, want at most %d", ErrTerms, t.InputSize, MaxBlob)
	case t.MinQuality > S:
		return fmt.Errorf("%w: quality: have %d ppm, want at most %d", ErrTerms, t.MinQuality, S)
	case t.Price == 0:
		return fmt.Errorf("%w: price: have 0, want at least %s ATP", ErrTerms, atp.Amount(1))
	case t.Private && t.Class != Mutual:
		return fmt.Errorf("%w: a private task is of class %s: have %s, whose witnesses would read it", ErrTerms, Mutual, t.Class)
	case t.Private && t.Executor.IsZero():
		return fmt.Errorf("%w: a private task names its executor: have none, and all who are registered could read it", ErrTerms)
	}
	return nil
}

func (t Terms) checkChecker() error {
	switch {
	case t.Class == Checker && t.Checker == nil:
		return fmt.Errorf("checker: have none, want the CID of one in class %s", Checker)
	case t.Class != Checker && t.Checker != nil:
		return fmt.Errorf("checker: have one, want none in class %s", t.Class)
	case t.Checker == nil:
		return nil
	}
	return checkBlob("checker", *t.Checker)
}

// Check returns an error unless t is 1 to 32 of a-z 0-9 _ -, a letter first.
func (t Type) Check() error { return checkWord("type", string(t), 1, 32, "_-") }

// Check returns an error unless r is 1 to 64 of a-z 0-9 _ - . : /, a letter first.
func (r Runtime) Check() error { return checkWord("runtime", string(r), 1, 64, "_-.:/") }

// checkWord returns an error unless s has least to most bytes, each a-z, 0-9
// or one of extra, and begins with a letter.
func checkWord(what, s string, least, most int, extra string) error {
	ok := len(s) >= least && len(s) <= most
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		letter := c >= 'a' && c <= 'z'
		ok = letter || i > 0 && (c >= '0' && c <= '9' || slices.Contains([]byte(extra), c))
	}
	if !ok {
		return fmt.Errorf("%s: have %.80q, want %d to %d of a-z 0-9 %s, a letter first", what, s, least, most, extra)
	}
	return nil
}

func oneOf[T ~string](what string, have T, want []T) error {
	if !slices.Contains(want, have) {
		return fmt.Errorf("%s: have %.40q, want one of %q", what, have, want)
	}
	return nil
}

func checkBlob(what string, c cid.Cid) error {
	if err := atp.CheckCID(c, cid.Raw); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
