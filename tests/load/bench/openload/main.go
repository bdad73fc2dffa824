// Sends the requests of a plan at a constant rate, whether or not earlier ones have been answered, and counts the
// latency of each from the moment it was due: a server that stalls is charged for everything that had to wait meanwhile.
//
//	openload ADDRESS PLAN RATE SECONDS CONNECTIONS
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"sort"
	"strconv"
	"time"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 6 {
		log.Fatal("usage: openload ADDRESS PLAN RATE SECONDS CONNECTIONS")
	}
	requests, err := readPlan(os.Args[2], os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	rate, seconds, connections := number(os.Args[3]), number(os.Args[4]), number(os.Args[5])
	load, err := newLoad(os.Args[1], requests, rate, int(math.Ceil(rate*seconds)), int(connections))
	if err != nil {
		log.Fatal(err)
	}
	if err := load.run(); err != nil {
		log.Fatal(err)
	}
	report(load.latencies, load.failures, time.Since(load.start))
}

func number(argument string) float64 {
	value, err := strconv.ParseFloat(argument, 64)
	if err != nil || value <= 0 {
		log.Fatalf("%q is not a number above 0", argument)
	}
	return value
}

// report writes what wrk's scripts write, too: seconds, percentiles in milliseconds, and errors by kind.
func report(latencies []time.Duration, failures map[string]int, elapsed time.Duration) {
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	percentile := func(share float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		rank := math.Ceil(share * float64(len(latencies)))
		return latencies[int(rank)-1].Seconds() * 1e3
	}
	text, err := json.Marshal(map[string]any{
		"requests": len(latencies), "seconds": elapsed.Seconds(), "errors": failures,
		"p50": percentile(0.5), "p99": percentile(0.99), "p999": percentile(0.999),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
}
