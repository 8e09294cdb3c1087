package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipfs/go-cid"
	car "github.com/ipld/go-car/v2"
	carstorage "github.com/ipld/go-car/v2/storage"
	"github.com/multiformats/go-multihash"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// A chain in a file is a CAR (version 1). Its roots are the genesis and, above
// height 0, the ID of the newest block. Its sections are genesis.json and then,
// for each height from 1, the header, the body and the certificate.
const (
	maxSection = chain.MaxBodyBytes + 1<<10 // the largest is a body; the CID is in it
	maxRoots   = 1 << 10                    // bytes of the list of them
	maxCert    = 1 << 20
)

// exported is what `chain export --json` prints.
type exported struct {
	File   string      `json:"file"`
	Bytes  int64       `json:"bytes"`
	Height view.Height `json:"height"`
	Block  view.CID    `json:"block"`
}

// exportHome writes the chain of a stopped node to a new file, whole or not at
// all.
func exportHome(ctx context.Context, home, file string) (report exported, err error) {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return exported{}, failedf("%s exists already", file).hint("name a new file, or remove that one")
	}
	s, genesis, err := openStopped(home)
	if err != nil {
		return exported{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	head, err := s.Head()
	if err != nil {
		return exported{}, err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".sage-chain-*")
	if err != nil {
		return exported{}, err
	}
	err = writeChain(ctx, f, s, genesis, head)
	report = exported{File: file, Height: view.Height(head.Height), Block: view.CID{Cid: head.ID}}
	if info, statErr := f.Stat(); statErr == nil {
		report.Bytes = info.Size()
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // of no use to anyone
	}
	return report, err
}

// content is the CID of bytes in a file.
func content(codec uint64, b []byte) (cid.Cid, error) {
	return cid.V1Builder{Codec: codec, MhType: multihash.SHA2_256}.Sum(b)
}

// writeChain writes the chain of a store.
func writeChain(ctx context.Context, w io.Writer, s *store.Store, g chain.Genesis, head store.Head) error {
	genesis, err := g.JSON()
	if err != nil {
		return err
	}
	root, err := content(cid.Raw, genesis)
	if err != nil {
		return err
	}
	roots := []cid.Cid{root}
	if head.Height > 0 {
		roots = append(roots, head.ID)
	}
	out, err := carstorage.NewWritable(w, roots, car.WriteAsCarV1(true), car.AllowDuplicatePuts(true))
	if err != nil {
		return err
	}
	if err := out.Put(ctx, root.KeyString(), genesis); err != nil {
		return err
	}
	for final, err := range s.Blocks(1) {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if err := writeBlock(ctx, out, final); err != nil {
			return err
		}
	}
	return out.Finalize()
}

func writeBlock(ctx context.Context, out carstorage.WritableCar, final store.FinalBlock) error {
	header, err := final.Block.Header.Encode()
	if err != nil {
		return err
	}
	body, err := final.Block.Body().Encode()
	if err != nil {
		return err
	}
	var cert bytes.Buffer
	if err := final.Cert.MarshalCBOR(&cert); err != nil {
		return err
	}
	for _, b := range [][]byte{header, body, cert.Bytes()} {
		id, err := content(cid.DagCBOR, b)
		if err != nil {
			return err
		}
		if err := out.Put(ctx, id.KeyString(), b); err != nil {
			return err
		}
	}
	return nil
}

// importHome fills a home that has no chain with that of a file. A failed
// import leaves no chain.
func importHome(ctx context.Context, home, file string) (checked, error) {
	in, err := os.Open(file)
	if err != nil {
		return checked{}, noFile("chain", file, err)
	}
	defer func() { _ = in.Close() }() // it was only read
	for _, name := range []string{genesisFile, "store"} {
		if _, err := os.Lstat(filepath.Join(home, name)); !errors.Is(err, fs.ErrNotExist) {
			return checked{}, failedf("%s has a chain already", home).hint("name a new folder with --home")
		}
	}
	r, genesis, err := openChainFile(in)
	if err != nil {
		return checked{}, notAChain(file, err)
	}
	key, err := signer.OpenOrCreate(home) // and holds the home
	if err != nil {
		return checked{}, err
	}
	report, err := r.into(ctx, home, genesis, key)
	if err != nil {
		err = notAChain(file, err)
	}
	return report, errors.Join(err, key.Close())
}

// notAChain says what is wrong with a file, or passes on what is not its fault.
func notAChain(file string, err error) error {
	var bad *badFile
	if !errors.As(err, &bad) {
		return err
	}
	return failedf("%s cannot be imported: %s", file, reason(bad.Error())).hint("export the chain again, from the home of a node that passes: sage-p2p chain check")
}

// badFile is what is wrong with a file.
type badFile struct{ why string }

func (b *badFile) Error() string { return b.why }

func badf(format string, args ...any) error { return &badFile{fmt.Sprintf(format, args...)} }

// chainFile reads a chain from a file.
type chainFile struct {
	sections *car.BlockReader
}

// openChainFile reads the genesis, which founders must have signed.
func openChainFile(in io.Reader) (*chainFile, chain.Genesis, error) {
	sections, err := car.NewBlockReader(in, car.MaxAllowedHeaderSize(maxRoots), car.MaxAllowedSectionSize(maxSection))
	if err != nil {
		return nil, chain.Genesis{}, badf("it is no CAR file: %v", err)
	}
	r := &chainFile{sections}
	if n := len(sections.Roots); sections.Version != 1 || n < 1 || n > 2 {
		return nil, chain.Genesis{}, badf("it is no file of chain export: it has version %d and %d roots", sections.Version, n)
	}
	_, raw, err := r.next()
	if err != nil {
		return nil, chain.Genesis{}, err
	}
	g, err := chain.ParseGenesis(raw)
	if err != nil {
		return nil, chain.Genesis{}, badf("its genesis cannot be used: %v", err)
	}
	return r, g, nil
}

// next returns the next section, whose bytes are what its CID names.
func (r *chainFile) next() (cid.Cid, []byte, error) {
	b, err := r.sections.Next()
	if errors.Is(err, io.EOF) {
		return cid.Undef, nil, badf("it ends too early")
	}
	if err != nil {
		return cid.Undef, nil, badf("it is damaged: %v", err)
	}
	return b.Cid(), b.RawData(), nil
}

// into executes the chain into a home, and binds its key. The genesis is written
// when all else is there.
func (r *chainFile) into(ctx context.Context, home string, g chain.Genesis, key *signer.Signer) (report checked, err error) {
	dir := filepath.Join(home, "store.import")
	if err := os.RemoveAll(dir); err != nil { // of an import that was interrupted
		return checked{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir), os.RemoveAll(dir+".lock")) }()
	if report, err = r.fill(ctx, dir, g); err != nil {
		return checked{}, err
	}
	genesis, err := g.JSON()
	if err != nil {
		return checked{}, err
	}
	hash, err := g.Hash()
	if err != nil {
		return checked{}, err
	}
	if err := key.Bind(hash); err != nil { // it signs for another chain, or has left this one
		return checked{}, err
	}
	if err := os.Rename(dir, filepath.Join(home, "store")); err != nil {
		return checked{}, err
	}
	return report, os.WriteFile(filepath.Join(home, genesisFile), genesis, 0o600)
}

// fill executes the chain into a new store.
func (r *chainFile) fill(ctx context.Context, dir string, g chain.Genesis) (report checked, err error) {
	s, err := store.Open(dir, store.Edge)
	if err != nil {
		return checked{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	state, nodes, err := g.State()
	if err != nil {
		return checked{}, err
	}
	if err := s.Found(state, nodes); err != nil {
		return checked{}, err
	}
	c, err := newCheck(g)
	if err != nil {
		return checked{}, err
	}
	for c.state.Tip().ID != r.end(c) {
		if err := ctx.Err(); err != nil {
			return checked{}, err
		}
		final, err := r.block(c)
		if err != nil {
			return checked{}, err
		}
		if err := s.Commit(final); err != nil {
			return checked{}, err
		}
	}
	if _, err := r.sections.Next(); !errors.Is(err, io.EOF) {
		return checked{}, badf("it goes on after its newest block")
	}
	return c.report(), c.compare(s)
}

// end is the ID of the newest block of the file.
func (r *chainFile) end(c *check) cid.Cid {
	if len(r.sections.Roots) == 1 {
		return c.state.Tip().ID // there is only the genesis
	}
	return r.sections.Roots[1]
}

// block reads and executes the next block.
func (r *chainFile) block(c *check) (store.Final, error) {
	height := c.state.Tip().Height + 1
	var raw [3][]byte
	for i := range raw {
		var err error
		if _, raw[i], err = r.next(); err != nil {
			return store.Final{}, err
		}
	}
	var cert bft.CommitCert
	header, err := chain.DecodeHeader(raw[0])
	if err != nil {
		return store.Final{}, badf("block %d: its header: %v", height, err)
	}
	body, err := chain.DecodeBody(raw[1])
	if err != nil {
		return store.Final{}, badf("block %d: its %v", height, err)
	}
	if err := chain.DecodeExactly(raw[2], maxCert, &cert); err != nil {
		return store.Final{}, badf("block %d: its certificate: %v", height, err)
	}
	final, err := c.execute(header, body, cert)
	if err != nil {
		return store.Final{}, badf("block %d does not hold: %v", height, err)
	}
	return final, nil
}
