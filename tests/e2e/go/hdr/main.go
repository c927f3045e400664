// What Go's HdrHistogram makes of some values: load_test.py compares it with tlsagent-load's own.
package main

import (
	"fmt"

	"github.com/codahale/hdrhistogram"
)

func main() {
	histogram := hdrhistogram.New(1, 3600000000, 3)
	state := uint64(42)
	for i := 0; i < 200000; i++ {
		state = state*6364136223846793005 + 1442695040888963407
		value := int64((state >> 33) % (1 << (uint(i)%31 + 1)))
		if err := histogram.RecordValue(value); err != nil {
			panic(err)
		}
	}
	for _, percent := range []float64{1, 10, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 100} {
		fmt.Printf("p%g %d\n", percent, histogram.ValueAtQuantile(percent))
	}
	fmt.Printf("max %d\n", histogram.Max())
	fmt.Printf("total %d\n", histogram.TotalCount())
	fmt.Printf("mean %.6f\n", histogram.Mean())
	fmt.Printf("stddev %.6f\n", histogram.StdDev())
}
