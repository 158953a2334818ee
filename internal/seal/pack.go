package seal

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"sync"
)

// packer keeps compressors between uses: making one costs far more than
// packing a token with it.
type packer struct{ writers, readers *sync.Pool }

func newPacker() packer {
	return packer{writers: new(sync.Pool), readers: new(sync.Pool)}
}

func (p packer) deflate(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, ok := p.writers.Get().(*flate.Writer)
	if ok {
		w.Reset(&out)
	} else {
		var err error
		if w, err = flate.NewWriter(&out, flate.DefaultCompression); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	p.writers.Put(w)
	return out.Bytes(), nil
}

// inflate unpacks at most maxPlain bytes, so that no token can fill the memory.
func (p packer) inflate(packed []byte) ([]byte, error) {
	src := bytes.NewReader(packed)
	r, ok := p.readers.Get().(io.Reader)
	if ok {
		if err := r.(flate.Resetter).Reset(src, nil); err != nil {
			return nil, err
		}
	} else {
		r = flate.NewReader(src)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxPlain+1))
	if err != nil {
		return nil, err
	}
	if len(plain) > maxPlain {
		return nil, errors.New("unpacks to too much")
	}
	p.readers.Put(r)
	return plain, nil
}
