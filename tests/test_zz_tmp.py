def test_x(api, own, project, make_run):
    r = make_run(status="failed")
    print(api(own).post(f"/runs/{r.pk}/retry", {"from": "start"}).json())
    r = make_run(status="queued")
    print(api(own).post(f"/runs/{r.pk}/cancel", {}).json())
    assert 0
