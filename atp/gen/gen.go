//go:build ignore

// Gen writes the encoders of package atp.
package main

import (
	"log"

	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/atp"
)

func main() {
	if err := cbg.WriteTupleEncodersToFile("cbor_gen.go", "atp",
		atp.Account{}, atp.Lock{}, atp.Totals{}); err != nil {
		log.Fatal(err)
	}
}
