import time
from scenario import *
def test_try(local_aws):
    t=time.time()
    with open_pipeline() as p:
        print('open',time.time()-t); t=time.time()
        for k,v in small_tree().items(): p.land(k,v)
        r=p.work(); print('work',time.time()-t, r); t=time.time()
        print({k:v[0] for k,v in p.content().partitions.items()}); print(p.items())
        print([ (r.job_name,r.status.value, r.tags.get('dagster/partition')) for r in p.runs()])
        for k in small_tree(): print(p.file(k).state, p.file(k).error)
        print([p.date(d) .counts for d in DAYS])
        t=time.time(); r=p.work(); print(time.time()-t, r)
    assert 0
