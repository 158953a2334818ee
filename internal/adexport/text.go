package adexport

import (
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Text is what a file holds that a tool of Windows wrote, in UTF-8: the byte order mark
// says which Unicode it is, and a last 0x1A, with which DOS ends files, is none of it.
func Text(r io.Reader) io.Reader {
	return transform.NewReader(transform.NewReader(r, unicode.BOMOverride(transform.Nop)), undosed{})
}

// dosEnd is the sign with which DOS ends a file.
const dosEnd = 0x1a

// undosed takes the sign off the end.
type undosed struct{ transform.NopResetter }

// Transform implements [transform.Transformer]. The last byte waits until it is known
// whether more comes.
func (undosed) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	give, drop := len(src), 0
	switch {
	case give == 0:
		return 0, 0, nil
	case !atEOF:
		give, err = give-1, transform.ErrShortSrc
	case src[give-1] == dosEnd:
		give, drop = give-1, 1
	}
	if give > len(dst) {
		n := copy(dst, src[:len(dst)])
		return n, n, transform.ErrShortDst
	}
	return copy(dst, src[:give]), give + drop, err
}
