//go:build ignore

// Gen writes the encoders of package chain.
package main

import (
	"log"

	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/chain"
)

func main() {
	if err := cbg.WriteTupleEncodersToFile("cbor_gen.go", "chain", chain.Tuples()...); err != nil {
		log.Fatal(err)
	}
}
