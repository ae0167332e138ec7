#include "../bpf_core_read.h"
