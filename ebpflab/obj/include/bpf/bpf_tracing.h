#include "../bpf_tracing.h"
