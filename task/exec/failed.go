package exec

import (
	"bytes"

	cbg "github.com/whyrusleeping/cbor-gen"
)

// TrapCode is the exit code of a program that did not exit but trapped.
const TrapCode = -1

// failedPrefix is the start of DAG-CBOR ["failed", code]: an array of two, the
// first of them the text "failed".
const failedPrefix = "\x82\x66failed"

// EncodeFailed returns the result of a failed program: DAG-CBOR
// ["failed", code], where code is what the program left with, 1 to 2³²−1, or
// [TrapCode].
func EncodeFailed(code int64) []byte {
	number := cbg.CborEncodeMajorType(cbg.MajUnsignedInt, uint64(code))
	if code < 0 {
		number = cbg.CborEncodeMajorType(cbg.MajNegativeInt, uint64(-1-code))
	}
	return append([]byte(failedPrefix), number...)
}

// DecodeFailed reports whether an output is that of a failed program, and the
// code it left with. Only the exact bytes of [EncodeFailed] are.
func DecodeFailed(output []byte) (code int64, failed bool) {
	rest, ok := bytes.CutPrefix(output, []byte(failedPrefix))
	if !ok {
		return 0, false
	}
	major, n, err := cbg.CborReadHeader(bytes.NewReader(rest))
	switch {
	case err != nil:
		return 0, false
	case major == cbg.MajUnsignedInt && 0 < n && n < 1<<32:
		code = int64(n)
	case major == cbg.MajNegativeInt && n == 0:
		code = TrapCode
	default:
		return 0, false
	}
	if !bytes.Equal(output, EncodeFailed(code)) {
		return 0, false
	}
	return code, true
}
