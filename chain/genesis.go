package chain

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// Bounds of a genesis.
const (
	MaxGenesisBytes = 1 << 20 // the file
	MaxFounders     = bft.MaxValidators
	MaxAllocations  = 1_000

	// MaxGenesisTime, the year 3000, leaves blocks and deadlines all the time that
	// they could need: each is later than the last, and there is an end of Millis.
	MaxGenesisTime atp.Millis = 32_503_680_000_000
)

// GenesisVersion is the version of the genesis that this package makes and takes.
const GenesisVersion = 1

// genesisDomain begins what a founder's signature covers.
const genesisDomain = "sage/genesis/1"

// Genesis is what founders agree on before there is a chain. Its canonical
// hash, which their signatures cover and are no part of, is the chain's
// identity.
type Genesis struct {
	Version     uint64       `json:"version"`
	Network     string       `json:"network"` // a name for people, formed like a platform's
	Time        atp.Millis   `json:"time_ms"`
	Founders    []Founder    `json:"founders"`    // by ID
	Validators  []atp.ID     `json:"validators"`  // by ID; all are founders
	Allocations []Allocation `json:"allocations"` // by ID
	Pool        atp.Amount   `json:"pool_uatp"`
	Params      Params       `json:"params"`
}

// Founder is a platform that signs the genesis.
type Founder struct {
	ID        atp.ID           `json:"id"`
	Name      string           `json:"name"`      // a [task.Name]
	Signature FounderSignature `json:"signature"` // zero until the founder has signed
}

// FounderSignature is a signature that a file holds as base64.
type FounderSignature bft.Signature

// MarshalText writes s in base64, the zero signature as nothing.
func (s FounderSignature) MarshalText() ([]byte, error) {
	if s == (FounderSignature{}) {
		return nil, nil
	}
	return base64.StdEncoding.AppendEncode(nil, s[:]), nil
}

// UnmarshalText reads what MarshalText writes.
func (s *FounderSignature) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = FounderSignature{}
		return nil
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || len(raw) != len(s) {
		return fmt.Errorf("%w: signature is not the base64 of %d bytes", ErrGenesis, len(s))
	}
	copy(s[:], raw)
	return nil
}

// Allocation is an account's first balance.
type Allocation struct {
	To     atp.ID     `json:"to"`
	Amount atp.Amount `json:"amount_uatp"`
}

// genesisForm is the canonical form of a genesis: all but the signatures.
type genesisForm struct {
	Version     uint64
	Network     string        `cborgen:"maxlen=64"`
	Time        atp.Millis    //
	Founders    []founderForm `cborgen:"maxlen=100"`
	Validators  []atp.ID      `cborgen:"maxlen=100"`
	Allocations []Allocation  `cborgen:"maxlen=1000"`
	Pool        atp.Amount
	Params      Params
}

type founderForm struct {
	ID   atp.ID
	Name string `cborgen:"maxlen=32"`
}

// Default balances of a genesis.
const (
	founderGrant = 1_000 * atp.ATP
	poolGrant    = 1_000_000 * atp.ATP
)

// NewGenesis returns the genesis of a federation founded by the platforms
// named, with the defaults of p's admission and nothing signed yet. All
// founders validate, unless they are two: two validators are weaker than one,
// so the first by ID does.
func NewGenesis(network string, at atp.Millis, p Params, founders ...Founder) Genesis {
	g := Genesis{Version: GenesisVersion, Network: network, Time: at, Pool: poolGrant, Params: p, Founders: slices.Clone(founders)}
	slices.SortFunc(g.Founders, func(a, b Founder) int { return atp.Compare(a.ID, b.ID) })
	for _, f := range g.Founders {
		g.Validators = append(g.Validators, f.ID)
		g.Allocations = append(g.Allocations, Allocation{f.ID, founderGrant})
	}
	if len(g.Validators) == 2 {
		g.Validators = g.Validators[:1]
	}
	return g
}

// ID returns the name of the genesis: the CID of its canonical form, which is
// the parent of the first block. It fails for one that [Genesis.Check] refuses.
func (g Genesis) ID() (cid.Cid, error) {
	form := genesisForm{g.Version, g.Network, g.Time, nil, g.Validators, g.Allocations, g.Pool, g.Params}
	for _, f := range g.Founders {
		form.Founders = append(form.Founders, founderForm{f.ID, f.Name})
	}
	id, _, err := address(&form)
	return id, err
}

// Hash returns the chain's identity: the digest in [Genesis.ID].
func (g Genesis) Hash() (GenesisHash, error) {
	id, err := g.ID()
	if err != nil {
		return GenesisHash{}, err
	}
	return genesisHash(id), nil
}

func genesisHash(id cid.Cid) (h GenesisHash) {
	copy(h[:], id.Bytes()[cidLength-sha256Size:])
	return h
}

// SigningBytes returns what every founder signs.
func (g Genesis) SigningBytes() ([]byte, error) {
	h, err := g.Hash()
	return append([]byte(genesisDomain), h[:]...), err
}

// WithSignature returns g with the signature of one founder, which is checked.
func (g Genesis) WithSignature(founder atp.ID, s bft.Signature) (Genesis, error) {
	i := slices.IndexFunc(g.Founders, func(f Founder) bool { return f.ID == founder })
	if i < 0 {
		return Genesis{}, fmt.Errorf("%w: %s is not a founder", ErrGenesis, founder)
	}
	g.Founders = slices.Clone(g.Founders)
	g.Founders[i].Signature = FounderSignature(s)
	message, err := g.SigningBytes()
	if err != nil {
		return Genesis{}, err
	}
	if err := g.Founders[i].check(message); err != nil {
		return Genesis{}, err
	}
	return g, nil
}

func (f Founder) check(message []byte) error {
	if !(bft.ZIP215{}).Verify(bft.Claim{Signer: bft.ID(f.ID), Message: message, Signature: bft.Signature(f.Signature)}) {
		return fmt.Errorf("%w: the signature of founder %q (%s) does not hold", ErrGenesis, f.Name, f.ID)
	}
	return nil
}

// Missing lists the founders that have not signed yet.
func (g Genesis) Missing() (ids []atp.ID) {
	for _, f := range g.Founders {
		if f.Signature == (FounderSignature{}) {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

// Validate reports every reason, not only the first, why g cannot found a
// chain: those of [Genesis.Check], and signatures that are missing or false.
func (g Genesis) Validate() error {
	if err := g.Check(); err != nil {
		return err
	}
	message, err := g.SigningBytes()
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range g.Founders {
		errs = append(errs, f.check(message))
	}
	return errors.Join(errs...)
}

// ParseGenesis reads genesis.json, in the form that [Genesis.JSON] writes but
// for white space: no field may be unknown, missing, repeated or misspelt in
// its capitals. [Genesis.Validate] must hold, so that what it returns can found
// a chain.
func ParseGenesis(file []byte) (Genesis, error) {
	g, err := ParseProposedGenesis(file)
	if err != nil {
		return Genesis{}, err
	}
	if err := g.Validate(); err != nil {
		return Genesis{}, err
	}
	return g, nil
}

// ParseProposedGenesis is [ParseGenesis] for a genesis that founders still
// have to sign.
func ParseProposedGenesis(file []byte) (Genesis, error) {
	if len(file) > MaxGenesisBytes {
		return Genesis{}, fmt.Errorf("%w: have %d bytes, want at most %d", ErrGenesis, len(file), MaxGenesisBytes)
	}
	var g Genesis
	dec := json.NewDecoder(bytes.NewReader(file))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&g); err != nil {
		return Genesis{}, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if err := g.Check(); err != nil {
		return Genesis{}, err
	}
	if err := g.isWritten(file); err != nil {
		return Genesis{}, err
	}
	return g, nil
}

// isWritten reports whether file is what JSON writes, but for white space.
// Package json alone would let fields be repeated or left out.
func (g Genesis) isWritten(file []byte) error {
	var have, want bytes.Buffer
	written, err := g.JSON()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if err := json.Compact(&have, file); err != nil {
		return fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if err := json.Compact(&want, written); err != nil {
		return fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if bytes.Equal(have.Bytes(), want.Bytes()) {
		return nil
	}
	n := 0
	for n < min(have.Len(), want.Len()) && have.Bytes()[n] == want.Bytes()[n] {
		n++
	}
	return fmt.Errorf("%w: have %.40q, want %.40q: every field once, in order", ErrGenesis, have.Bytes()[n:], want.Bytes()[n:])
}

// JSON writes genesis.json.
func (g Genesis) JSON() ([]byte, error) {
	out, err := json.MarshalIndent(g, "", "  ")
	return append(out, '\n'), err
}
